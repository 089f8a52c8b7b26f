"""What a person who declares sagas meets: policies, definition errors, the static check, the guard."""

from __future__ import annotations

import asyncio
import pathlib
import random
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from durable_saga import Retry, compensation, connect, on_failure, saga, step, step_context
from durable_saga.authoring.check import check_paths
from durable_saga.definition.retry import FOREVER, decide, delay_ms, to_ms
from durable_saga.errors import BlockingCall, UnsupportedOperation
from durable_saga.replay.dice import Dice
from durable_saga.replay.guard import guarded


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(jitter=0), [1000, 2000, 4000, 8000]),
        (Retry(backoff="linear", initial=0.5, jitter=0), [500, 1000, 1500, 2000]),
        (Retry(backoff="fixed", initial=timedelta(seconds=3), jitter=0), [3000, 3000, 3000, 3000]),
        (Retry(initial=10, maximum=25, jitter=0), [10_000, 20_000, 25_000, 25_000]),
    ],
)
def test_delays_follow_the_policy(retry: Retry, delays: list[int]) -> None:
    assert [delay_ms(retry, attempt, 0.5) for attempt in (1, 2, 3, 4)] == delays


def test_jitter_stays_within_its_share_and_attempts_end() -> None:
    retry = Retry(jitter=0.2, non_retryable=(KeyError,), retry_if=lambda error: "no" not in str(error))
    assert delay_ms(retry, 1, 0.0) == 800
    assert delay_ms(retry, 1, 1.0) == 1200
    assert decide(retry, 3, ValueError(), 0.5) is not None
    assert decide(retry, 4, ValueError(), 0.5) is None
    assert decide(retry, 1, KeyError(), 0.5) is None
    assert decide(retry, 1, ValueError("no"), 0.5) is None
    assert decide(FOREVER, 10**6, ValueError(), 0.5) == 60_000


async def waits() -> None: ...


def test_wrong_policies_and_timeouts_are_errors_at_definition() -> None:
    with pytest.raises(ValueError, match="max_attempts=0"):
        Retry(max_attempts=0)
    with pytest.raises(ValueError, match="backoff="):
        Retry(backoff="quadratic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"test_authoring.py:\d+: timeout is -1"):
        step(timeout=-1)(waits)
    with pytest.raises(ValueError, match=r"test_authoring.py:\d+: timeout is -2"):
        saga(timeout=-2)(waits)
    with pytest.raises(ValueError, match=r"test_authoring.py:\d+: timeout is -3"):
        compensation(timeout=-3)(waits)
    with pytest.raises(TypeError, match="give seconds"):
        to_ms("5", name="timeout")  # type: ignore[arg-type]


def test_a_compensation_with_other_parameters_is_refused_with_its_place() -> None:
    @step
    def charge(order: str) -> None: ...

    with pytest.raises(TypeError, match=r"test_authoring.py:\d+: compensation refund takes \(amount\)"):

        @charge.compensation
        def refund(amount: int) -> None: ...


def test_a_saga_must_be_async_and_signals_have_one_handler() -> None:
    with pytest.raises(TypeError, match="async def plain"):

        @saga  # type: ignore[arg-type]
        def plain() -> None: ...

    @saga
    async def one() -> None: ...

    @one.signal(name="go")
    def go() -> None: ...

    with pytest.raises(TypeError, match="already has a handler for signal 'go'"):
        one.signal(name="go")(go)


def test_outside_a_saga_a_step_just_runs() -> None:
    @step
    def where() -> str:
        return threading.current_thread().name

    @step
    async def double(n: int) -> int:
        return 2 * n

    async def main() -> None:
        assert await double(4) == 8
        assert await where() != threading.main_thread().name

    asyncio.run(main())
    with pytest.raises(UnsupportedOperation, match="marked @saga"):
        on_failure(print)
    with pytest.raises(UnsupportedOperation, match="step or compensation"):
        step_context()


@pytest.mark.parametrize("url", ["nowhere", "http://x", "host:port", "sqlite://", "cassandra://host"])
def test_a_wrong_url_says_what_is_accepted(url: str) -> None:
    with pytest.raises(ValueError, match=r"accepted|give host:port"):
        connect(url)


class Env:
    dice = Dice(b"seed", rules=1)
    is_repeating = False

    def now(self) -> float:
        return 42.0

    def log_context(self) -> dict[str, Any]:
        return {}


def test_the_guard_gives_replayable_values_inside_and_the_real_ones_outside(tmp_path: pathlib.Path) -> None:
    with guarded(Env()):
        assert time.time() == 42.0
        first = random.random()
        with pytest.raises(BlockingCall, match="file"):
            open(tmp_path / "x", "w")  # noqa: SIM115
        with pytest.raises(BlockingCall, match=r"asyncio\.sleep"):
            time.sleep(0)
    assert first == Dice(b"seed", rules=1).machine().random()
    assert time.time() > 42
    (tmp_path / "x").write_text("fine again")


def test_the_static_check_names_line_and_advice(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "shop.py"
    source.write_text(
        "from datetime import datetime\nimport requests\n"
        "@step\ndef fine():\n    return requests.get('x')\n"
        "def helper():\n    return datetime.now()\n"
        "@saga\nasync def order():\n    helper()\n    for x in {'a', 'b'}:\n        pass\n    await fine()\n"
    )
    found = [(one.line, one.code) for one in check_paths([tmp_path])]
    assert found == [(7, "DS001"), (11, "DS007")]
