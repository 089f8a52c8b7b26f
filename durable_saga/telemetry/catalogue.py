"""Every instrument, with what it means: docs/metrics.md shows this list, and a test compares the two.

Whoever counts something imports its instrument from here. Times are in seconds. `saga_type`, `step` and `error` are names from
code, never ids or values.
"""

from __future__ import annotations

from durable_saga.telemetry.instruments import Counter, Gauge, Histogram, Instrument, instruments_in

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STEP = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
SAGA = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

# --- sagas ------------------------------------------------------------------------------------------------------------------

SAGAS_STARTED = Counter("durable_saga.sagas.started", "{saga}", "sagas that were started at this server", ["saga_type"])
SAGAS_ENDED = Counter(
    "durable_saga.sagas.ended", "{saga}",
    "sagas that ended at this worker, or were terminated at this server, by how they ended", ["saga_type", "status"],
)  # fmt: skip
SAGA_DURATION = Histogram(
    "durable_saga.saga.duration", "s", "from the start of a saga's run to its end", ["saga_type", "status"], bounds=SAGA
)  # fmt: skip
SAGA_FAILURES = Counter(
    "durable_saga.saga.failures", "{failure}", "sagas whose code failed, by the type of the error", ["saga_type", "error"]
)  # fmt: skip
SAGAS_OPEN = Gauge(
    "durable_saga.sagas.open", "{saga}",
    "open sagas in the journal by status; every server tells the same number, so take the maximum", ["saga_type", "status"],
    join=max,
)  # fmt: skip
OLDEST_AGE = Gauge(
    "durable_saga.sagas.oldest.age", "s",
    "how long the oldest saga has been stuck, held or blocked; every server tells what it knows, so take the maximum",
    ["state"], join=max,
)  # fmt: skip
BLOCKED = Gauge("durable_saga.sagas.blocked", "{saga}", "sagas that no worker of this server could go on with", ["saga_type"])

# --- attempts ---------------------------------------------------------------------------------------------------------------

ATTEMPTS = Counter(
    "durable_saga.attempts", "{attempt}",
    "attempts of steps and compensations that ended: completed, retried (it is tried again), failed or stuck",
    ["saga_type", "step", "kind", "outcome"],
)  # fmt: skip
ATTEMPT_DURATION = Histogram(
    "durable_saga.attempt.duration", "s", "how long the code of an attempt ran", ["saga_type", "step", "kind"], bounds=STEP
)  # fmt: skip
ATTEMPT_ERRORS = Counter(
    "durable_saga.attempt.errors", "{error}", "attempts that failed, by the type of the error", ["saga_type", "step", "error"]
)  # fmt: skip
ATTEMPT_DELAY = Histogram(
    "durable_saga.attempt.delay", "s", "from when an attempt was due to when its code began: it waits for a place",
    ["saga_type"], bounds=FAST,
)  # fmt: skip

# --- workers ----------------------------------------------------------------------------------------------------------------

SLOTS = Gauge("durable_saga.worker.slots", "{attempt}", "how many attempts this worker runs at once (concurrency)")
SLOTS_USED = Gauge("durable_saga.worker.slots.used", "{attempt}", "attempts that this worker runs now")
SLOTS_WAITING = Gauge("durable_saga.worker.slots.waiting", "{attempt}", "attempts that wait for a place")
THREADS_HUNG = Gauge("durable_saga.worker.threads.hung", "{thread}", "threads of plain steps that are not waited for any more")
RUNS = Gauge("durable_saga.worker.sagas", "{saga}", "sagas that this worker has in memory")
LINKS = Gauge("durable_saga.worker.links", "{server}", "servers that have welcomed this worker and are connected")
RUNS_LOST = Counter("durable_saga.worker.sagas.lost", "{saga}", "sagas that went on elsewhere while this worker had them")

# --- servers ----------------------------------------------------------------------------------------------------------------

COMMIT_DURATION = Histogram(
    "durable_saga.commit.duration", "s", "from when a commit was asked for to the journal's answer, waiting included",
    ["outcome"], bounds=FAST,
)  # fmt: skip
COMMIT_BATCH = Histogram("durable_saga.commit.batch.size", "{commit}", "commits that were written together", bounds=SIZES)
COMMITS_WAITING = Gauge("durable_saga.commits.waiting", "{commit}", "commits that wait to be written")
QUEUE = Gauge("durable_saga.queue.length", "{saga}", "sagas that can go on and wait for a worker with room", ["saga_type"])
WORKERS = Gauge("durable_saga.workers", "{worker}", "workers that are connected to this server")
ROOM = Gauge("durable_saga.workers.room", "{saga}", "sagas that the connected workers have room for, taken or not")
ROOM_USED = Gauge("durable_saga.workers.room.used", "{saga}", "sagas that the connected workers have, as this server knows")
LEASES_LOST = Counter(
    "durable_saga.leases.lost", "{worker}", "workers that were silent or read nothing for too long", ["reason"]
)
TIMER_LAG = Histogram("durable_saga.timer.lag", "s", "how late a saga that waited for its time was looked at", bounds=FAST)
JOURNAL_ERRORS = Counter("durable_saga.journal.errors", "{error}", "calls of the journal that failed", ["call", "error"])
JOURNAL_DURATION = Histogram("durable_saga.journal.duration", "s", "calls of the journal", ["call"], bounds=FAST)
JOURNAL_BYTES = Gauge("durable_saga.journal.size", "By", "files of a SQLite journal", ["file"])
DISK_FREE = Gauge("durable_saga.disk.free", "By", "what is free where a SQLite journal lies", join=min)

# --- every process ----------------------------------------------------------------------------------------------------------

LOOP_LAG = Histogram(
    "durable_saga.event_loop.lag", "s", "how late a timer of the event loop came: what blocks it holds up everything",
    bounds=FAST,
)  # fmt: skip
PAGE_REQUESTS = Histogram(
    "durable_saga.page.request.duration", "s", "requests to the web page", ["method", "status"], bounds=FAST
)  # fmt: skip
INFO = Gauge(
    "durable_saga.process", "1", "1, with what the process is, and its versions",
    ["role", "version", "protocol", "rules", "schema"], join=max,
)  # fmt: skip

ALL: tuple[Instrument, ...] = tuple(instruments_in(globals()))
OPEN_STATUSES = ("RUNNING", "COMPENSATING", "COMPENSATION_STUCK", "HELD")
