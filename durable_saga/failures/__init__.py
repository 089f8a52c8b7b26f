"""Exceptions as values and back, and what of them may be told."""
