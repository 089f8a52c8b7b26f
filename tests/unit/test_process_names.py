"""A worker's name tells whether its process has ended on this machine; of all others nothing is known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from durable_saga.pb import process_names
from durable_saga.pb.process_names import is_gone, new_name


def started() -> tuple[subprocess.Popen[str], str]:
    code = "import os, time; from durable_saga.pb.process_names import new_name; print(new_name(os.urandom(4)), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(600)"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as told:
        return process, told.readline().strip()


def test_a_process_is_gone_as_soon_as_it_was_killed() -> None:
    process, name = started()
    assert not is_gone(name)
    assert not is_gone(new_name(b"self"))
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and nobody has asked for its end yet
    assert is_gone(name)
    process.wait()
    assert is_gone(name)
    host, pid, last = name.split("/")
    for other in (f"elsewhere/{pid}/{last}", f"{host}/{pid}/00000000-{last[9:]}", f"{host}/x/{last}", f"{host}/{pid}", "", "w"):
        assert not is_gone(other)
    assert not is_gone(f"{host}/{10**30}/{last}")


def test_where_the_system_tells_nothing_nobody_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    process, name = started()
    process.kill()
    process.wait()
    assert is_gone(name)
    monkeypatch.setattr(process_names, "_mark", lambda: "")
    assert not is_gone(name)
