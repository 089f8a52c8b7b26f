"""Entries that do not come out right yet, by where they are played, with what is wrong. Each must go on coming out wrong until
it is taken out of here: the tests are strict about it."""

from __future__ import annotations

RUNNER: dict[str, str] = {
    "saga raises exit": "sys.exit() in saga code ends its worker",
    "saga leaves by sys.exit": "sys.exit() in saga code ends its worker",
    "starts a thread": "nothing refuses it",
    "a callback that raises": "it blocks its saga",
    "call_soon that raises": "it blocks its saga",
}
WORKERS: dict[str, str] = {
    "saga raises exit": "sys.exit() in saga code ends its worker",
    "saga raises interrupt": "KeyboardInterrupt in saga code ends its worker",
    "saga leaves by sys.exit": "sys.exit() in saga code ends its worker",
    "starts a thread": "nothing refuses it",
    "a callback that raises": "it blocks its saga",
    "call_soon that raises": "it blocks its saga",
    "a loop that swallows everything": "its worker stands still",
    "a bare except around a sleep": "its worker stands still",
    "code that never yields": "its worker stands still",
    "a callback that calls itself for ever": "its worker stands still",
    "a loop of sleep(0)": "its worker stands still",
}
KILLS: dict[str, str] = {}
