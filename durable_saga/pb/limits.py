"""What one word, number or list on the wire may be at most: one name for each kind, for both sides. Beyond it, INVALID_ARGUMENT.

Those of payloads, histories and frames stand in `payloads`.
"""

from __future__ import annotations

from durable_saga.pb import history_pb2 as h

ID_CHARACTERS_MAX = 255
"""Of a namespace, saga id, saga type, name, key, message id, worker."""
CALL_CHARACTERS_MAX = 1_000
"""Of the number of a call, "3.1.2"."""
ITEM_CHARACTERS_MAX = 1_000
"""Of what a monitor claims."""
REASON_CHARACTERS_MAX = 4_000
WHO_CHARACTERS_MAX = 255
NOTE_CHARACTERS_MAX = 4_000
BLOCKED_CHARACTERS_MAX = 4_000
PAUSED_CHARACTERS_MAX = 4_000
BUILD_CHARACTERS_MAX = 100
SHARE_MILLIONTHS_MAX = 1_000_000
"""All new runs."""
"""Of the name of a build."""
QUERY_ANSWER_BYTES_MAX = 1024 * 1024
"""Of the answer of a query, from a worker. In a process that has the code there is no such limit."""
SEAL_HEADER_BYTES_MAX = 1_000
"""Of what a codec needs beside its key to open a value."""
PAGE_CHARACTERS_MAX = 1_000
"""Of the token of a listing's page."""
BEARER_CHARACTERS_MAX = 7_500
"""Of a token that a caller shows: what gRPC takes of headers is 8 KiB."""
KEYS_PER_START_MAX = 100
STATUSES_MAX = 100
"""In a filter."""
SAGA_TYPES_PER_WORKER_MAX = 10_000
CONSUMED_PER_COMMIT_MAX = 20_000
EVENTS_PER_COMMIT_MAX = 20_000
EVENT_BYTES_MAX = 4 * 1024 * 1024
"""In the journal, its large payloads apart."""
COMMIT_BYTES_TAKEN_MAX = 16 * 1024 * 1024
"""In the journal, large payloads apart."""
SEQ_MAX = 1_000_000
"""Far above EVENTS_PER_RUN_MAX, where the worker stops a saga and unwinds it."""
TIME_MS_MAX = 253_402_128_000_000
"""Before the end of the year 9999, the last that a datetime knows in every zone. Later times are shown and kept as this one."""
DURATION_MS_MAX = TIME_MS_MAX
CLOCK_AHEAD_MS_MAX = 366 * 86_400_000
"""An event that is so far in the future is no event: its worker's clock is wrong, or it lies."""
RUN_NUMBER_MAX = 2**31 - 1
NUMBER_MAX = 2**63 - 1
CAPACITY_MAX = 1_000_000


def seconds_of(time_ms: int) -> float:
    """For a datetime, whatever a journal holds."""
    return min(max(time_ms, 0), TIME_MS_MAX) / 1000


def status_name(number: int) -> str:
    """Of a status that a newer version may have written too: never raises."""
    return h.Status.Name(number) if number in h.Status.values() else f"STATUS_{number}"


def is_whole(text: str) -> bool:
    """Whether it has no half of a character, a lone surrogate, which no message can hold."""
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)
