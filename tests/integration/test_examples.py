"""Every example runs by its one command and says what its page says."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAYS = {
    "order_processing": [
        "order-1: completed",
        "order-2: compensated; completed ['validate_payment']; undone ['reserve_inventory', 'validate_payment']",
    ],
    "order_function": [
        "good: completed; completed ['validate_payment', 'reserve', 'reserve', 'create_order', 'charge_payment']; undone []",
        "gone: compensated; completed ['validate_payment', 'reserve']; undone ['reserve', 'reserve', 'validate_payment']",
        "stolen: failed; completed []; undone []",
    ],
    "parallel_order": [
        "whole: completed",
        "  payment: refund 2",
        "undone ['calculate_shipping', 'reserve_inventory', 'process_payment', 'validate_customer']",
    ],
    "conditional_discount": [
        "'apply_premium_discount': 20, 'apply_standard_discount': None} skipped ['apply_standard_discount']",
        "'apply_premium_discount': None, 'apply_standard_discount': 5} skipped ['apply_premium_discount']",
    ],
    "stateful": [
        "good: completed; completed ['fetch', 'load']; undone []",
        "  load: attempt 3 failed: the table is locked",
        "bad: compensated; completed ['fetch']",
        "{'attempts': 3, 'last_error': 'the table is locked', 'last_successful_step': 'fetch'}",
    ],
    "orchestrate": [
        "order-12345 completed ['validate_payment', 'reserve_inventory', 'create_order', 'charge_payment', 'update_inventory']",
        "welcome ann@example.org",
        "119.0",
        "no saga 'order_procesing' is registered, only order_processing, payment_processing, user_onboarding",
    ],
    "monitoring": [
        "saga ann failed: examples.shop.Refused: the printer is down",
        "  print card of ann",
        "saga bob takes too long",
        "  close account of bob",
        "active 0, completed 1, compensated 1",
    ],
    "compensation_strategies": [
        "BUSINESS_RULE_VIOLATION: compensated; completed ['step1', 'step2', 'step3']; undone ['step3', 'step1', 'step2']",
        "OTHER: compensated; completed ['step1', 'step2', 'step3']; undone ['step1', 'step2']",
    ],
    "approval": [
        "  approved as approval_123",
        "contract: completed; completed ['initiate_process', 'complete_process']; undone []",
        "  withdraw lease",
        "lease: compensated; completed ['initiate_process']; undone ['initiate_process']",
    ],
}


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_and_says_what_it_did(name: str) -> None:
    said = run(f"examples.{name}")
    place = 0
    for line in SAYS[name]:
        assert line in said[place:], f"{line!r} is missing, or too early:\n{said}"
        place = said.index(line, place) + 1
    assert "Traceback" not in said


def test_every_example_is_here() -> None:
    there = {one.stem for one in (ROOT / "examples").glob("*.py")} - {"__init__", "play", "shop", "test_order_processing"}
    assert there == set(SAYS)


def test_t1_to_t4_the_example_of_testing_passes() -> None:
    assert "passed" in run("pytest", "-p", "no:cacheprovider", "examples/test_order_processing.py")
