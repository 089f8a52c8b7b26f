"""No server: a SQLite file in the folder, opened by the peer's own library."""

from __future__ import annotations

import pathlib
import sqlite3
from typing import Any


class SqliteFile:
    def __init__(self, durability: str) -> None:
        self.durability = durability

    def install(self) -> None: ...

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        return {"url": f"sqlite:///{folder}/file.db"}

    def stop(self) -> None: ...

    def pids(self) -> list[int]:
        return []

    def versions(self) -> dict[str, str]:
        return {"SQLite": sqlite3.sqlite_version}
