"""Keeps saga code away from gRPC: a call there is an effect that no journal knows of, and gRPC's own loop does not stand the
saga's. It is told before gRPC is touched."""

from __future__ import annotations

import threading

import grpc
import grpc.aio
from grpc import _channel as blocking
from grpc.aio import _channel as awaiting

from durable_saga.errors import UnsupportedOperation
from durable_saga.replay.guard import refuse_in_sagas
from durable_saga.replay.mark import inside

SENTENCE = "a gRPC call can't be made in saga code, which is replayed: make it in a @step"
_MAKERS = ("insecure_channel", "secure_channel")
_CALLS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
_once = threading.Lock()
_installed = False


def refuse_client_in_saga(asked: str) -> None:
    """Raises UnsupportedOperation in saga code."""
    if inside():
        raise UnsupportedOperation(
            f"{asked} can't be called in saga code, which is replayed: call it in a @step, or await the other saga as a child"
        )


def install() -> None:
    """Once for the process; outside of saga code nothing changes."""
    global _installed
    with _once:
        if _installed:
            return
        _installed = True
    for module in (grpc, grpc.aio):
        for name in _MAKERS:
            refuse_in_sagas(module, name, SENTENCE)
    for kind in _CALLS:
        refuse_in_sagas(getattr(awaiting, f"{kind}MultiCallable"), "__call__", SENTENCE)
    for name, one in list(vars(blocking).items()):
        if name.startswith("_") and name.endswith("MultiCallable"):
            for method in ("__call__", "with_call", "future"):
                if method in vars(one):
                    refuse_in_sagas(one, method, SENTENCE)
