"""What a person installs: wheel and sdist as they are built, and clean environments of this Python with the wheel in them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, replace

from supply.lock import DEVELOPMENT, ROOT, pins

EXTRAS = (
    "server", "cassandra", "identity", "uvloop", "encryption", "page", "oidc", "dev", "metrics", "otel", "sentry", "health",
)  # fmt: skip
_OURS = ("PYTHON", "MYPY", "DURABLE_SAGA")
"""Beginnings of variables that would lead back to this tree."""


@dataclass(frozen=True)
class Built:
    wheel: pathlib.Path
    sdist: pathlib.Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an empty folder beside it in which its commands run."""

    python: pathlib.Path
    folder: pathlib.Path

    def run(self, *command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """A command of the environment (`python`, `durable-saga`). Fails with its output when it ends otherwise than told."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        done = subprocess.run(
            [str(self.python.with_name(command[0])), *command[1:]],
            cwd=self.folder, env=kept, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done


def build(source: pathlib.Path, into: pathlib.Path) -> Built:
    """By the back end that pyproject.toml names, as pinned."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(into)], cwd=source, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Built(next(into.glob("*.whl")), next(into.glob("*.tar.gz")))


def install(
    wheel: pathlib.Path,
    into: pathlib.Path,
    *,
    extras: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
    instead: Mapping[str, str] | None = None,
) -> Environment:
    """The wheel with these extras, and packages beside it, in the versions of the lock, or those given `instead` by name. Needs
    the package index."""
    folder = into / "empty"
    folder.mkdir(parents=True)
    venv.create(into / "venv", with_pip=False, symlinks=True)
    constraints = into / "constraints.txt"
    chosen = [replace(pin, version=(instead or {}).get(pin.name, pin.version)) for pin in pins(DEVELOPMENT)]
    constraints.write_text("".join(f"{pin.name}=={pin.version}{f' ; {pin.marker}' if pin.marker else ''}\n" for pin in chosen))
    made = Environment(into / "venv" / "bin" / "python", folder)
    wanted = f"durable-saga[{','.join(extras)}] @ {wheel.as_uri()}" if extras else str(wheel)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--quiet", "--disable-pip-version-check",
         "--constraint", str(constraints), wanted, *beside],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return made


__all__ = ["EXTRAS", "ROOT", "Built", "Environment", "build", "install"]
