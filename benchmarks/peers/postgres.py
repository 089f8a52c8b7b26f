"""PostgreSQL as Debian has it: a cluster of its own in the folder, with the settings that initdb writes.

Its programs are installed by apt where this runs as root and they are missing. It refuses root, so root runs it as `postgres`.
"""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import signal
from collections.abc import Callable
from typing import Any

from benchmarks.peers.processes import Failed, Process, free_port, run

DATABASE = "bench"


class PostgresServer:
    """`prepare` is called with the URL of an empty database and puts a peer's schema there."""

    durability = "PostgreSQL: fsync on, synchronous_commit on (defaults)"

    def __init__(self, prepare: Callable[[str], None] | None = None) -> None:
        self._prepare = prepare
        self._process: Process | None = None

    def install(self) -> None:
        if programs() is None:
            if os.geteuid() != 0 or shutil.which("apt-get") is None:
                raise Failed("there is no PostgreSQL: install it (Debian: apt-get install postgresql)")
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "update", "-qq"], env=environment)
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"], env=environment)

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        found = programs()
        assert found is not None, "it was installed"
        port, data = free_port(), folder / "postgres"
        data.mkdir()
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            let_through(folder)
        run(
            [found / "initdb", "-D", data, "-U", "bench", "--auth=trust", "--encoding=UTF8", "--no-instructions"],
            cwd=data,
            **who,
        )
        options: list[object] = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", data]
        self._process = Process("postgres", [found / "postgres", *options], folder, cwd=data, **who)
        self._process.until_it_says("database system is ready to accept connections")
        run([found / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", DATABASE])
        url = f"postgresql://bench@127.0.0.1:{port}/{DATABASE}"
        if self._prepare is not None:
            self._prepare(url)
        return {"url": url, "port": port}

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGQUIT)
            self._process = None

    def pids(self) -> list[int]:
        return [self._process.pid] if self._process is not None else []

    def versions(self) -> dict[str, str]:
        found = programs()
        return {"PostgreSQL": run([found / "postgres", "--version"]).split()[2] if found is not None else "?"}


def programs() -> pathlib.Path | None:
    """The folder of the newest version."""
    on_path = shutil.which("initdb")
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return folders[-1].parent if folders else pathlib.Path(on_path).parent if on_path else None


def let_through(folder: pathlib.Path) -> None:
    """Let another user come to what lies below a temporary folder."""
    for place in (folder, folder.parent):
        place.chmod(place.stat().st_mode | 0o011)
