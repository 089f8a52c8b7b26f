"""Code of earlier commits, for processes of an earlier version beside today's."""

from __future__ import annotations

import io
import pathlib
import shutil
import subprocess
import tarfile

import pytest

from examples.demo.processes import ROOT


def tree_of(commit: str, folder: pathlib.Path) -> pathlib.Path:
    """Unpacks the whole tree of that commit there. Skips the test where the clone has no history."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed, and the old code is in its history")
    found = subprocess.run(["git", "archive", "--format=tar", commit], cwd=ROOT, capture_output=True)
    if found.returncode:
        pytest.skip(f"this clone has no commit {commit} (a full clone has): {found.stderr.decode(errors='replace')}")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder
