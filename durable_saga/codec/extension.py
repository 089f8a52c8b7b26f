"""The msgpack extension numbers. They stand in journals: never renumber, never reuse."""

BIG_INT = 1
"""Decimal digits; beyond 4,000 of them hexadecimal ones behind "0x"."""
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
TAGGED = 12
"""[name, value]: which member of a union it is, which subclass, or which type that msgpack does not know."""
RECORD = 13
"""[fields] or [fields, details]: a model that came from an instance, so that each field is put back as it was."""

NESTED = frozenset({TUPLE, SET, FROZENSET, MAP, TAGGED, RECORD})
"""What holds msgpack again."""
