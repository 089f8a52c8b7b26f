"""The versions of this program: what it is, what it speaks, and by which rules it runs sagas. docs/versions.md says what an older
one does with a newer one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from durable_saga.pb.payloads import DETERMINISM_RULES

PROTOCOL = 1
"""Of a worker's Hello and the server's Welcome. It rises only when a peer of before could misunderstand one of now: what is added
to messages is left unread by those who do not know it."""


def program_version() -> str:
    """"" where the code runs without having been installed."""
    try:
        return version("durable-saga")
    except PackageNotFoundError:
        return ""


def versions(schema: int = 0) -> dict[str, str]:
    """As labels. `schema` is what a server writes into its journal, 0: none."""
    return {
        "version": program_version(), "protocol": str(PROTOCOL), "rules": str(DETERMINISM_RULES),
        "schema": str(schema) if schema else "",
    }  # fmt: skip
