"""Where a process may listen: on loopback for all who are there already; beyond it with TLS and identity, or with the word that says
that nobody else can reach it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


def is_loopback(host: str) -> bool:
    """Of a host of HOST:PORT, an address or a name."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_listening(listen: str, *, is_closed: bool, insecure: bool, wants: Sequence[str]) -> None:
    """Raises ValueError for an address beyond loopback, unless the process is closed (TLS and identity) or `insecure`. `wants` are
    the lines of what is to be given."""
    if is_closed or insecure or is_loopback(listen.rpartition(":")[0]):
        return
    lines = "\n".join(f"  {one}" for one in wants)
    raise ValueError(
        f"{listen} can be reached from other machines, so it needs TLS and identity:\n{lines}\n"
        "or --insecure, if only your own programs can reach this address"
    )
