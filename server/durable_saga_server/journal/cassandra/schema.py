"""The tables, their versions, and the statements that are prepared.

`runs` keeps the head as a regular row with the lowest clustering key: a condition on static columns alone makes Cassandra
read the first event as well. Hints
are bucketed, by the minute or, far ones, by the day, and expire; single rows are never deleted.
"""

from __future__ import annotations

from durable_saga_server.journal import MEMBER_KEPT_MS

SCHEMA_VERSION = 8
HEAD_SEQ = -1
HINT_BUCKET_MS = 60_000
HINT_KEPT_SECONDS = 30 * 86_400
HINT_DAY_MS = 86_400_000
MEMBER_ROWS_GRACE_SECONDS = 600
LISTING_DAY_MS = 86_400_000
AUDIT_DAY_MS = 86_400_000
AUDIT_SLOTS = 8
"""Partitions of a day; a number of the journal, like a key."""
CHANGES_KEPT_SECONDS = 30 * 86_400
LATE_CHANGES_KEPT_SECONDS = 86_400
"""The second row of a change that was written late: longer than a monitor that is running stays away."""
CLAIMS_KEPT_SECONDS = 60 * 86_400
PURGED = 0
"""The status of a row in the listing whose run is gone. It is not deleted: a read that meets many tombstones fails."""
LATE_WRITE_MS = 3_600_000
"""A row of the listing that was on its way when its run was purged may come so late and stays without effect."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS journal_schema (one int PRIMARY KEY, version int)",
    "CREATE TABLE IF NOT EXISTS runs (namespace text, saga text, run int, seq bigint, event blob, incarnation blob,"
    " saga_type text, status int, owner text, epoch bigint, next_seq bigint, last_commit blob, started_ms bigint,"
    " updated_ms bigint, ended_ms bigint, wake_at_ms bigint, blocked text, newest int,"
    " attributes map<text, text>, log text, term int, build text, paused text,"
    " PRIMARY KEY ((namespace, saga, run), seq))",
    "CREATE TABLE IF NOT EXISTS logs (log text, namespace text, saga text, run int, incarnation blob, term int, seq bigint,"
    " commit_id blob, now_ms bigint, wake_at_ms bigint, events frozen<list<blob>>,"
    " PRIMARY KEY (log, namespace, saga, run, incarnation, term, seq)) WITH read_repair = 'BLOCKING'",
    "CREATE TABLE IF NOT EXISTS fences (log text, opened boolean STATIC, closed boolean STATIC, namespace text, saga text,"
    " run int, incarnation blob, term int, PRIMARY KEY (log, namespace, saga, run, incarnation, term))"
    " WITH read_repair = 'BLOCKING'",
    "CREATE TABLE IF NOT EXISTS known_logs (one int, log text, used_ms bigint, PRIMARY KEY (one, log))",
    "CREATE TABLE IF NOT EXISTS inbox (namespace text, saga text, run int, message_id text, received_ms bigint,"
    " message blob, consumed boolean, PRIMARY KEY ((namespace, saga, run), message_id))",
    "CREATE TABLE IF NOT EXISTS chunks (namespace text, saga text, run int, digest blob, part int, chunk blob,"
    " PRIMARY KEY ((namespace, saga, run), digest, part))",
    "CREATE TABLE IF NOT EXISTS near_hints (shard int, bucket bigint, due_ms bigint, namespace text, saga text, run int,"
    " PRIMARY KEY ((shard, bucket), due_ms, namespace, saga, run)) WITH compaction ="
    " {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS', 'compaction_window_size': 1}",
    "CREATE TABLE IF NOT EXISTS far_hints (shard int, day bigint, due_ms bigint, namespace text, saga text, run int,"
    " PRIMARY KEY ((shard, day), due_ms, namespace, saga, run)) WITH compaction ="
    " {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS', 'compaction_window_size': 7}",
    "CREATE TABLE IF NOT EXISTS hint_watermarks (shard int PRIMARY KEY, due_ms bigint)",
    "CREATE TABLE IF NOT EXISTS members (one int, name text, address text, beat bigint, seen_ms bigint, workers text,"
    f" saga_types text, PRIMARY KEY (one, name)) WITH gc_grace_seconds = {MEMBER_ROWS_GRACE_SECONDS}",
    "CREATE TABLE IF NOT EXISTS listing (namespace text, day bigint, started_ms bigint, saga text, run int,"
    " incarnation blob, saga_type text, status int, owner text, epoch bigint, next_seq bigint, last_commit blob,"
    " updated_ms bigint, ended_ms bigint, wake_at_ms bigint, blocked text, attributes map<text, text>, build text,"
    " paused text, is_blocked boolean, is_paused boolean, state int, sub_state int, doing text, failure_type text,"
    " attempt int, next_ms bigint, since_ms bigint, id_number varint,"
    " PRIMARY KEY ((namespace, day), started_ms, saga, run)) WITH CLUSTERING ORDER BY (started_ms DESC, saga ASC, run ASC)",
    "CREATE TABLE IF NOT EXISTS listing_days (namespace text, day bigint, PRIMARY KEY (namespace, day))"
    " WITH CLUSTERING ORDER BY (day DESC)",
    "CREATE TABLE IF NOT EXISTS day_summaries (namespace text, day bigint, summary text, PRIMARY KEY (namespace, day))",
    "CREATE TABLE IF NOT EXISTS correlation_keys (namespace text, key text, saga text, run int,"
    " PRIMARY KEY ((namespace, key), saga, run))",
    "CREATE TABLE IF NOT EXISTS changes (namespace text, day bigint, started_ms bigint, saga text, run int,"
    " incarnation blob, saga_type text, status int, owner text, epoch bigint, next_seq bigint, last_commit blob,"
    " updated_ms bigint, ended_ms bigint, wake_at_ms bigint, blocked text,"
    f" PRIMARY KEY ((namespace, day), updated_ms, saga, run)) WITH default_time_to_live = {CHANGES_KEPT_SECONDS}",
    "CREATE TABLE IF NOT EXISTS claims (namespace text, group_name text, item text, until_ms bigint, done boolean,"
    f" PRIMARY KEY ((namespace, group_name, item))) WITH default_time_to_live = {CLAIMS_KEPT_SECONDS}",
    "CREATE TABLE IF NOT EXISTS switches (one int, namespace text, name text, value blob, version int,"
    " PRIMARY KEY (one, namespace, name))",
    "CREATE TABLE IF NOT EXISTS tokens (one int, id text, name text, digest blob, rights blob, made_ms bigint, made_by text,"
    " expires_ms bigint, revoked_ms bigint, PRIMARY KEY (one, id))",
    "CREATE TABLE IF NOT EXISTS audit (day bigint, slot int, at_ms bigint, id blob, namespace text, who text, verb text,"
    " saga text, entry blob, until_ms bigint, PRIMARY KEY ((day, slot), at_ms, id))"
    " WITH CLUSTERING ORDER BY (at_ms DESC, id DESC) AND compaction ="
    " {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS', 'compaction_window_size': 7}",
    "CREATE TABLE IF NOT EXISTS audit_days (one int, day bigint, PRIMARY KEY (one, day))",
)

CHANGES = (
    "ALTER TABLE IF EXISTS runs ADD IF NOT EXISTS newest int",
    "ALTER TABLE IF EXISTS runs ADD IF NOT EXISTS attributes map<text, text>",
    "ALTER TABLE IF EXISTS runs ADD IF NOT EXISTS log text",
    "ALTER TABLE IF EXISTS runs ADD IF NOT EXISTS term int",
    "ALTER TABLE IF EXISTS runs ADD IF NOT EXISTS build text",
    "ALTER TABLE IF EXISTS runs ADD IF NOT EXISTS paused text",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS attributes map<text, text>",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS build text",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS paused text",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS is_blocked boolean",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS is_paused boolean",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS state int",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS sub_state int",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS doing text",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS failure_type text",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS attempt int",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS next_ms bigint",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS since_ms bigint",
    "ALTER TABLE IF EXISTS listing ADD IF NOT EXISTS id_number varint",
)
"""Of tables that an earlier version made."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS listing_status ON listing (status) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_type ON listing (saga_type) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_attributes ON listing (ENTRIES(attributes)) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_build ON listing (build) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_blocked ON listing (is_blocked) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_paused ON listing (is_paused) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_sub_state ON listing (sub_state) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_failure ON listing (failure_type) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_ended ON listing (ended_ms) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS listing_id ON listing (id_number) USING 'sai'",
)
INDEX_PROBES = (
    "status = 0", "saga_type = '-'", "attributes['-'] = '-'", "build = '-'", "is_blocked = true", "is_paused = true",
    "sub_state = 1", "failure_type = '-'", "ended_ms = 1", "id_number = 1",
)  # fmt: skip

_RUN = "namespace = ? AND saga = ? AND run = ?"
HEAD_COLUMNS = (
    "saga_type, incarnation, status, owner, epoch, next_seq, last_commit, started_ms, updated_ms, ended_ms, wake_at_ms, blocked"
)
_HEAD = f"SELECT {HEAD_COLUMNS}, newest, attributes, build, paused, log, term FROM runs"
DOING_COLUMNS = "state, doing, failure_type, attempt, next_ms, since_ms"
TALLIED = "saga_type, status, build, is_blocked, is_paused"
_SET = "SET next_seq = ?, last_commit = ?, status = ?, updated_ms = ?, ended_ms = ?, wake_at_ms = ?, blocked = ?"
_FENCE = f"WHERE {_RUN} AND seq = {HEAD_SEQ} IF incarnation = ? AND epoch = ? AND next_seq = ? AND last_commit != ?"

_NO_LOG = "AND log = null"
_TERM = f"WHERE {_RUN} AND seq = {HEAD_SEQ} IF incarnation = ? AND epoch = ? AND next_seq = ? AND last_commit = ? AND term = ?"
"""For a run that may be in a log: the term stands for the log and its writer, next_seq and last_commit for what stands with
the head."""
_TAIL = "log = ? AND namespace = ? AND saga = ? AND run = ? AND incarnation = ? AND term = ?"

_CLAIM = "namespace = ? AND group_name = ? AND item = ?"

STATEMENTS = {
    "create_head": f"INSERT INTO runs (namespace, saga, run, seq, {HEAD_COLUMNS}, build, newest, log, term)"
    f" VALUES (?, ?, ?, {HEAD_SEQ}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?) IF NOT EXISTS",
    "event": "INSERT INTO runs (namespace, saga, run, seq, event) VALUES (?, ?, ?, ?, ?)",
    "head": f"{_HEAD} WHERE {_RUN} AND seq = {HEAD_SEQ}",
    "head_seen": f"{_HEAD} WHERE {_RUN} AND seq = {HEAD_SEQ}",
    "advance": f"UPDATE runs SET newest = ? WHERE {_RUN} AND seq = {HEAD_SEQ} IF incarnation = ? AND newest < ?",
    "acquire": f"UPDATE runs SET epoch = ?, owner = ?, updated_ms = ? WHERE {_RUN} AND seq = {HEAD_SEQ}"
    f" IF incarnation = ? AND epoch = ? AND status IN (1, 2, 3, 9) {_NO_LOG}",
    "commit": f"UPDATE runs {_SET} {_FENCE} {_NO_LOG}",
    "commit_and_release": f"UPDATE runs {_SET}, owner = '' {_FENCE} {_NO_LOG}",
    "turn": f"UPDATE runs {_SET}, owner = ?, log = ?, term = ? {_TERM}",
    "take": "UPDATE runs SET epoch = ?, owner = ?, updated_ms = ?, next_seq = ?, last_commit = ?, wake_at_ms = ?, log = ?,"
    f" term = ? {_TERM} AND status IN (1, 2, 3, 9)",
    "settle": f"UPDATE runs SET next_seq = ?, last_commit = ?, updated_ms = ?, wake_at_ms = ?, log = null, term = ? {_TERM}"
    " AND log = ?",
    "log_row": "INSERT INTO logs (log, namespace, saga, run, incarnation, term, seq, commit_id, now_ms, wake_at_ms, events)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "log_rows": f"SELECT seq, commit_id, now_ms, wake_at_ms, events FROM logs WHERE {_TAIL} AND seq >= ?",
    "log_terms": "SELECT namespace, saga, run, incarnation, term FROM logs WHERE log = ?",
    "log_drop": "DELETE FROM logs WHERE log = ?",
    "log_known": "INSERT INTO known_logs (one, log, used_ms) VALUES (1, ?, ?)",
    "known_logs": "SELECT log, used_ms FROM known_logs WHERE one = 1",
    "log_forget": "DELETE FROM known_logs WHERE one = 1 AND log = ?",
    "fence": "SELECT opened, closed, namespace, saga, run, incarnation, term FROM fences WHERE log = ?",
    "fence_open": "INSERT INTO fences (log, opened) VALUES (?, true)",
    "fence_close": "INSERT INTO fences (log, closed) VALUES (?, true)",
    "fence_revoke": "INSERT INTO fences (log, namespace, saga, run, incarnation, term) VALUES (?, ?, ?, ?, ?, ?)",
    "fence_drop": "DELETE FROM fences WHERE log = ?",
    "set_attributes": f"UPDATE runs SET attributes = attributes + ? WHERE {_RUN} AND seq = {HEAD_SEQ}",
    "set_build": f"UPDATE runs SET build = ? WHERE {_RUN} AND seq = {HEAD_SEQ}",
    "set_paused": f"UPDATE runs SET paused = ? WHERE {_RUN} AND seq = {HEAD_SEQ}",
    "events": f"SELECT event FROM runs WHERE {_RUN} AND seq >= ? AND seq < ?",
    "message": f"SELECT message_id FROM inbox WHERE {_RUN} AND message_id = ?",
    "purge_head": f"DELETE FROM runs WHERE {_RUN} AND seq = {HEAD_SEQ} IF incarnation = ? AND status IN (4, 5, 6, 7, 8, 10)",
    "purge_events": f"DELETE FROM runs WHERE {_RUN} AND seq > {HEAD_SEQ}",
    "purge_inbox": f"DELETE FROM inbox USING TIMESTAMP ? WHERE {_RUN}",
    "put_message": "INSERT INTO inbox (namespace, saga, run, message_id, received_ms, message) VALUES (?, ?, ?, ?, ?, ?)"
    " USING TIMESTAMP ?",
    "consume": f"UPDATE inbox USING TIMESTAMP ? SET consumed = true WHERE {_RUN} AND message_id = ?",
    "inbox": f"SELECT message, consumed FROM inbox WHERE {_RUN}",
    "unread": f"SELECT consumed FROM inbox WHERE {_RUN}",
    "put_chunk": "INSERT INTO chunks (namespace, saga, run, digest, part, chunk) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
    "chunks": f"SELECT chunk FROM chunks WHERE {_RUN} AND digest = ? AND part >= ? AND part < ?",
    "drop_chunks": f"DELETE FROM chunks USING TIMESTAMP ? WHERE {_RUN}",
    "any_chunk": f"SELECT part FROM chunks WHERE {_RUN} LIMIT 1",
    "add_near": "INSERT INTO near_hints (shard, bucket, due_ms, namespace, saga, run) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",
    "near": "SELECT due_ms, namespace, saga, run FROM near_hints WHERE shard = ? AND bucket = ? AND due_ms > ? AND due_ms <= ?",
    "add_far": "INSERT INTO far_hints (shard, day, due_ms, namespace, saga, run) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",
    "far": "SELECT due_ms, namespace, saga, run FROM far_hints WHERE shard = ? AND day = ? AND due_ms > ? AND due_ms <= ?",
    "watermark": "SELECT due_ms FROM hint_watermarks WHERE shard = ?",
    "set_watermark": "INSERT INTO hint_watermarks (shard, due_ms) VALUES (?, ?)",
    "beat": "INSERT INTO members (one, name, address, beat, seen_ms, workers, saga_types) VALUES (1, ?, ?, ?, ?, ?, ?)"
    f" USING TTL {MEMBER_KEPT_MS // 1000}",
    "members": "SELECT name, address, beat, seen_ms, workers, saga_types FROM members WHERE one = 1",
    "leave": "DELETE FROM members WHERE one = 1 AND name = ?",
    "list_put": f"INSERT INTO listing (namespace, day, saga, run, {HEAD_COLUMNS}, attributes, build, paused,"
    f" is_blocked, is_paused, id_number, sub_state, {DOING_COLUMNS})"
    f" VALUES ({', '.join('?' * 29)}) USING TIMESTAMP ?",
    "list_doing": f"SELECT {DOING_COLUMNS} FROM listing WHERE namespace = ? AND day = ? AND started_ms = ? AND saga = ?"
    " AND run = ?",
    "standings": "SELECT saga_type, status, sub_state, doing, failure_type FROM listing"
    " WHERE namespace = ? AND day = ? AND sub_state >= ? AND sub_state <= ? LIMIT ?",
    "list_purged": f"UPDATE listing USING TIMESTAMP ? SET status = {PURGED}"
    " WHERE namespace = ? AND day = ? AND started_ms = ? AND saga = ? AND run = ?",
    "list_drop_day": "DELETE FROM listing USING TIMESTAMP ? WHERE namespace = ? AND day = ?",
    "day_drop": "DELETE FROM listing_days WHERE namespace = ? AND day = ?",
    "day_put": "INSERT INTO listing_days (namespace, day) VALUES (?, ?)",
    "change_put": f"INSERT INTO changes (namespace, day, saga, run, {HEAD_COLUMNS})"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "change_put_late": f"INSERT INTO changes (namespace, day, saga, run, {HEAD_COLUMNS})"
    f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL {LATE_CHANGES_KEPT_SECONDS}",
    "change_known": "SELECT saga FROM changes WHERE namespace = ? AND day = ? AND updated_ms = ? AND saga = ? AND run = ?",
    "changes": f"SELECT saga, run, {HEAD_COLUMNS} FROM changes WHERE namespace = ? AND day = ? AND updated_ms > ? LIMIT ?",
    "change_drop": "DELETE FROM changes USING TIMESTAMP ?"
    " WHERE namespace = ? AND day = ? AND updated_ms = ? AND saga = ? AND run = ?",
    "day_summary_drop": "DELETE FROM day_summaries USING TIMESTAMP ? WHERE namespace = ? AND day = ?",
    "day_summaries": "SELECT day, summary FROM day_summaries WHERE namespace = ?",
    "day_summary_put": "INSERT INTO day_summaries (namespace, day, summary) VALUES (?, ?, ?) USING TIMESTAMP ?",
    "day_summary_pass": "INSERT INTO day_summaries (namespace, day, summary) VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?",
    "count_part": f"SELECT {TALLIED}, started_ms, saga, run FROM listing WHERE namespace = ? AND day = ?",
    "count_some": f"SELECT {TALLIED} FROM listing WHERE namespace = ? AND day = ? AND (started_ms, saga, run) IN ?",
    "key_put": "INSERT INTO correlation_keys (namespace, key, saga, run) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
    "keyed": "SELECT saga, run FROM correlation_keys WHERE namespace = ? AND key = ? LIMIT ?",
    "key_drop": "DELETE FROM correlation_keys USING TIMESTAMP ? WHERE namespace = ? AND key = ? AND saga = ? AND run = ?",
    "claim_new": "INSERT INTO claims (namespace, group_name, item, until_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS",
    "claim_again": f"UPDATE claims SET until_ms = ? WHERE {_CLAIM} IF until_ms = ? AND done != true",
    "claim_done": f"UPDATE claims SET done = true WHERE {_CLAIM} IF EXISTS",
    "switches": "SELECT namespace, name, value, version FROM switches WHERE one = 1",
    "switch_is": "SELECT namespace, name, value, version FROM switches WHERE one = 1 AND namespace = ? AND name = ?",
    "switch_new": "INSERT INTO switches (one, namespace, name, value, version) VALUES (1, ?, ?, ?, ?) IF NOT EXISTS",
    "switch_set": "UPDATE switches SET value = ?, version = ? WHERE one = 1 AND namespace = ? AND name = ? IF version = ?",
    "token_put": "INSERT INTO tokens (one, id, name, digest, rights, made_ms, made_by, expires_ms, revoked_ms)"
    " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
    "tokens": "SELECT id, name, digest, rights, made_ms, made_by, expires_ms, revoked_ms FROM tokens WHERE one = 1",
    "audit_put": "INSERT INTO audit (day, slot, at_ms, id, namespace, who, verb, saga, entry, until_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?",
    "audit": "SELECT at_ms, id, namespace, who, verb, saga, entry, until_ms FROM audit"
    " WHERE day = ? AND slot = ? AND (at_ms, id) < (?, ?) LIMIT ?",
    "audit_day": "INSERT INTO audit_days (one, day) VALUES (1, ?) USING TTL ?",
    "audit_days": "SELECT day FROM audit_days WHERE one = 1",
    "days": "SELECT day FROM listing_days WHERE namespace = ?",
    "days_between": "SELECT day FROM listing_days WHERE namespace = ? AND day >= ? AND day <= ? LIMIT ?",
}
