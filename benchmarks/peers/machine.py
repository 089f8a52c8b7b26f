"""What the figures were measured on, with the one that moves them most: how long a synced write takes."""

from __future__ import annotations

import os
import pathlib
import platform
import statistics
import time

SYNCED_WRITES = 200
SECTOR_BYTES = 512


def machine(folder: pathlib.Path) -> dict[str, str | int | float]:
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": _value(pathlib.Path("/proc/cpuinfo"), "model name"),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(int(_value(pathlib.Path("/proc/meminfo"), "MemTotal").split()[0]) / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "synced_write_p50_ms": round(synced_write_ms(folder), 3),
    }


def disk_written(folder: pathlib.Path) -> int | None:
    """Bytes that the disk of this folder was given so far, by everyone, after all that waited in memory was sent there."""
    os.sync()
    device = folder.stat().st_dev
    for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
        fields = line.split()
        if (int(fields[0]), int(fields[1])) == (os.major(device), os.minor(device)):
            return int(fields[9]) * SECTOR_BYTES
    return None


def synced_write_ms(folder: pathlib.Path) -> float:
    """p50 of appending 4 KiB to a file and fdatasync."""
    place = folder / "synced-write"
    took = []
    file = os.open(place, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(SYNCED_WRITES):
            began = time.perf_counter()
            os.write(file, b"x" * 4096)
            os.fdatasync(file)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        place.unlink()
    return statistics.median(took)


def _value(file: pathlib.Path, name: str) -> str:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "?"
