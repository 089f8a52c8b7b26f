"""The replay core: pure. History in, commands out; the worker around it does the I/O."""

from durable_saga.replay.commands import CancelStep, Effect, Output, Pause, Resume, RetryNow, RunCompensation, RunStep
from durable_saga.replay.run import Core

__all__ = ["CancelStep", "Core", "Effect", "Output", "Pause", "Resume", "RetryNow", "RunCompensation", "RunStep"]
