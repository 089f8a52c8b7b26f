"""The msgpack extension numbers. They stand in journals: never renumber, never reuse."""

BIG_INT = 1
TUPLE = 2
SET = 3
FROZENSET = 4
DATETIME = 5
DATE = 6
TIME = 7
TIMEDELTA = 8
UUID = 9
DECIMAL = 10
MAP = 11
"""A dict with a key that is no str: a list of pairs."""
