"""The key of a run, as it goes over the wire, and the run of a key."""

from __future__ import annotations

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Run


def key_of(run: Run) -> h.RunKey:
    return h.RunKey(namespace=run.namespace, saga=run.saga, run=run.run)


def run_of(key: h.RunKey) -> Run:
    return Run(key.namespace, key.saga, key.run)
