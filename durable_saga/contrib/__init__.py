"""Hooks of ours for the tools of others."""

from durable_saga.contrib.opentelemetry import OpenTelemetry
from durable_saga.contrib.sentry import Sentry

__all__ = ["OpenTelemetry", "Sentry"]
