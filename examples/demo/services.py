"""One of the three services, in a process of its own: `python -m examples.demo.services FOLDER NAME`.

A service keeps a ledger in its own SQLite file, one row per idempotency key: the first outcome of a key is the outcome. Undoing
a key that never came leaves a tombstone, so an attempt that arrives late is refused.
"""

from __future__ import annotations

import json
import pathlib
import random
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS_PER_CALL_MAX = 0.15
_TABLE = (
    "CREATE TABLE IF NOT EXISTS ledger (key TEXT PRIMARY KEY, order_id TEXT, action TEXT, state TEXT, result TEXT,"
    " calls INTEGER, undos INTEGER)"
)


class Ledger:
    """States: done, refused (a business rule), undone, never (undone before it came)."""

    def __init__(self, path: pathlib.Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(_TABLE)

    def do(self, key: str, order_id: str, action: str, refusal: str) -> dict[str, Any]:
        with self._lock:
            row = self._db.execute("SELECT state, result FROM ledger WHERE key = ?", (key,)).fetchone()
            if row is None:
                state = "refused" if refusal else "done"
                result = {"error": refusal} if refusal else {"id": f"{action}-{order_id}"}
                values = (key, order_id, action, state, json.dumps(result))
                self._db.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, 1, 0)", values)
                return result
            self._db.execute("UPDATE ledger SET calls = calls + 1 WHERE key = ?", (key,))
            return {"error": "undone"} if row[0] in ("undone", "never") else json.loads(row[1])

    def undo(self, key: str, order_id: str, action: str) -> dict[str, Any]:
        with self._lock:
            row = self._db.execute("SELECT state FROM ledger WHERE key = ?", (key,)).fetchone()
            if row is None:
                self._db.execute("INSERT INTO ledger VALUES (?, ?, ?, 'never', '{}', 0, 1)", (key, order_id, action))
            else:
                state = "undone" if row[0] == "done" else row[0]
                self._db.execute("UPDATE ledger SET state = ?, undos = undos + 1 WHERE key = ?", (state, key))
            return {}


def handler(ledger: Ledger) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(random.random() * SECONDS_PER_CALL_MAX)
            if self.path == "/undo":
                answer = ledger.undo(request["key"], request["order_id"], request["action"])
            else:
                answer = ledger.do(request["key"], request["order_id"], request["action"], request.get("refusal", ""))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """The ledger is the record."""

    return Handler


def main() -> None:
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Ledger(folder / f"{name}.db")))
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
