"""Python 3.11 may lock up where it is asked for the frames of all threads while its collector works: who asks, and how."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from types import FrameType

import pytest

from durable_saga import Worker, connect, saga, watchdog
from durable_saga.frames import frame_of


def test_the_collector_does_not_work_while_the_frames_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def told() -> dict[int, FrameType]:
        seen.append(gc.isenabled())
        return {}

    monkeypatch.setattr(sys, "_current_frames", told)
    assert frame_of(1) is None
    assert (seen, gc.isenabled()) == ([False], True)
    gc.disable()
    try:
        frame_of(1)
        assert not gc.isenabled(), "it was off, and stays off"
    finally:
        gc.enable()


def test_the_frame_is_that_of_the_thread() -> None:
    begun, over = threading.Event(), threading.Event()

    def waits_here() -> None:
        begun.set()
        over.wait()

    thread = threading.Thread(target=waits_here)
    thread.start()
    begun.wait()
    frame, names = frame_of(thread.ident or 0), []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    over.set()
    thread.join()
    assert "waits_here" in names


@saga
async def quick() -> int:
    return 1


def test_nobody_asks_for_them_while_sagas_are_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = sys._current_frames

    def told() -> dict[int, FrameType]:
        asked.append(threading.current_thread().name)
        return real()

    async def run() -> int:
        async with connect("memory:") as client, Worker(client, sagas=[quick]):
            result = await (await client.start(quick)).result()
            await asyncio.sleep(4 * watchdog.LOOK_SECONDS)
            return result

    monkeypatch.setattr(sys, "_current_frames", told)
    assert asyncio.run(run()) == 1
    assert "saga-watchdog" not in asked


def test_a_thread_that_is_over_is_watched_no_more() -> None:
    idents: list[int] = []

    def run() -> None:
        watchdog.watch_here()
        idents.append(threading.get_ident())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    until = time.monotonic() + 20
    while watchdog._watches.get(idents[0]) is not None and time.monotonic() < until:
        time.sleep(0.05)
    assert idents[0] not in watchdog._watches
