"""A core driven by hand: each fact is fed when a test says so, and whatever follows is committed at once."""

from __future__ import annotations

from typing import Any

from durable_saga import SagaFunction, codec
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import CancelStep, Core, RunCompensation, RunStep

START_MS = 1_700_000_000_000


class Hand:
    """Steps are named by their first argument; messages are numbered from 1."""

    def __init__(self) -> None:
        self.journal: list[h.Event] = []
        self._effects: dict[str, RunStep | RunCompensation] = {}
        self._names: dict[str, str] = {}
        self._messages = 0

    def start(self, saga: SagaFunction[..., Any], *args: Any) -> None:
        self._saga = saga
        data = codec.encode_call(args, {}, where="input")
        started = h.SagaStarted(saga_type=saga.definition.name, input=p.Payload(data=data), seed=b"s" * 16)
        self.journal = [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self._replay()

    def revived(self) -> Hand:
        """Another process that takes the run over."""
        other = Hand()
        other._saga, other.journal, other._names = self._saga, list(self.journal), self._names
        other._replay()
        return other

    def _replay(self) -> None:
        self.core = Core(self._saga.definition, h.RunKey(namespace="n", saga="s", run=1))
        self.core.replay(self.journal)
        self._take()

    def _take(self) -> None:
        output = self.core.take()
        self.journal += output.events
        for effect in output.effects:
            if isinstance(effect, CancelStep):
                self._effects.pop(effect.call, None)
            elif isinstance(effect, RunStep | RunCompensation):
                self._effects[effect.call] = effect
                if effect.args:
                    self._names.setdefault(str(effect.args[0]), effect.call)

    @property
    def status(self) -> h.Status:
        return self.core.status

    def feed(self, event: h.Event) -> bool:
        wanted = self.core.feed(event, START_MS)
        self._take()
        return wanted

    def call(self, name: str) -> str:
        return self._names[name]

    def find(self, kind: str) -> int:
        """The place of the first event of a kind, -1: there is none."""
        return next((place for place, event in enumerate(self.journal) if event.HasField(kind)), -1)

    def complete(self, name: str, result: Any) -> bool:
        data = codec.encode(result, where="result")
        return self.feed(h.Event(step_completed=h.StepCompleted(call=self.call(name), attempt=1, result=p.Payload(data=data))))

    def fail(self, name: str) -> bool:
        failure = p.Failure(type="builtins.TimeoutError", message=name)
        return self.feed(h.Event(step_failed=h.StepFailed(call=self.call(name), attempt=1, failure=failure)))

    def signal(self, name: str, value: Any) -> bool:
        self._messages += 1
        data = codec.encode_call((value,), {}, where="signal")
        received = h.SignalReceived(message_id=f"message-{self._messages}", name=name, input=p.Payload(data=data))
        return self.feed(h.Event(signal_received=received))

    def undoing(self) -> list[str]:
        return [str(one.args[0]) for one in self._effects.values() if isinstance(one, RunCompensation)]

    def compensation(self, name: str) -> RunCompensation:
        effect = self._effects[self.call(name)]
        assert isinstance(effect, RunCompensation)
        return effect

    def undone(self, name: str) -> bool:
        effect = next(one for one in self._effects.values() if isinstance(one, RunCompensation) and one.args[0] == name)
        del self._effects[effect.call]
        return self.feed(h.Event(compensation_completed=h.CompensationCompleted(call=effect.call, attempt=effect.attempt)))
