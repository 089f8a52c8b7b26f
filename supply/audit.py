"""What is known against the versions that we pin, by pip-audit. Fails for a known vulnerability and never for want of a
network: what could not be asked is said."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from supply.lock import DEVELOPMENT, RUN_TIME

SECONDS_MAX = 60
_COMMAND = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off", "--timeout", "5")


def ask(lock: pathlib.Path, command: Sequence[str] = ("-m", "pip_audit")) -> dict[str, Any] | str:
    """What pip-audit says, or why it says nothing."""
    try:
        done = subprocess.run(
            [sys.executable, *command, *_COMMAND, "-r", str(lock)],
            capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS_MAX} s"
    try:
        found = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"
    return found if isinstance(found, dict) else "it said something else than expected"


def judge(name: str, said: dict[str, Any] | str) -> tuple[bool, list[str]]:
    """Whether nothing is known against it, and the sentences for a person."""
    if isinstance(said, str):
        return True, [f"{name}: not audited ({said})"]
    packages = said.get("dependencies", [])
    skipped = [one for one in packages if "skip_reason" in one]
    bad = [one for one in packages if one.get("vulns")]
    lines = [
        f"{name}: {one['name']} {one['version']}: {', '.join(vuln['id'] for vuln in one['vulns'])}; better from"
        f" {', '.join(sorted({fix for vuln in one['vulns'] for fix in vuln.get('fix_versions', [])})) or 'no version yet'}"
        for one in bad
    ]
    asked = len(packages) - len(skipped)
    lines.append(f"{name}: {asked} of {len(packages)} packages audited, {len(bad)} with known vulnerabilities")
    if skipped:
        lines.append(f"{name}: not audited, nobody here knows of them: {len(skipped)} packages")
    return not bad, lines


def main() -> int:
    is_good = True
    for lock in (RUN_TIME, DEVELOPMENT):
        good, lines = judge(lock.name, ask(lock))
        print("\n".join(lines))
        is_good &= good
    return int(not is_good)


if __name__ == "__main__":
    sys.exit(main())
