"""A real Cassandra 5 node for tests and the demo: its jars come through Maven, its data lives in a folder of the project.

`DURABLE_SAGA_TEST_CASSANDRA=host:port` names a running cluster to use instead.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

VARIABLE = "DURABLE_SAGA_TEST_CASSANDRA"
ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "cassandra"
HEAP = "512m"
START_SECONDS_MAX = 180.0
_EXPORTS = [
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
]
_OPENS = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
]
_YAML = """\
cluster_name: durable-saga-test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
data_file_directories: [{folder}/data]
commitlog_directory: {folder}/commitlog
hints_directory: {folder}/hints
saved_caches_directory: {folder}/saved_caches
cdc_raw_directory: {folder}/cdc_raw
{commitlog}
listen_address: {host}
rpc_address: {host}
native_transport_port: {port}
storage_port: {storage_port}
start_native_transport: true
paxos_variant: v2
memtable_allocation_type: heap_buffers
concurrent_reads: 8
concurrent_writes: 16
file_cache_size: 32MiB
networking_cache_size: 32MiB
auto_snapshot: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "{seed}:{storage_port}"}}]
"""
_COMMITLOGS = {
    "group": "commitlog_sync: group\ncommitlog_sync_group_window: 1ms",
    "periodic": "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms",
}
_LOGBACK = """\
<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>
<pattern>%-5level %date{ISO8601} %F:%L - %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="out"/></root></configuration>
"""


_numbers = itertools.count(1)


class NoCassandraError(RuntimeError):
    """There is no way to a Cassandra on this machine; the message says what to install."""


class CassandraNode:
    """One node, from `start()` to `stop()`; `address` is host:port. `commitlog`: group (synced before it answers) or periodic.
    `settings` are further lines of its cassandra.yaml. Alone it has free ports; nodes of one cluster have one pair of `ports`
    (native, storage), a `host` each and one `seed`."""

    def __init__(
        self,
        commitlog: str = "group",
        *,
        host: str = "127.0.0.1",
        seed: str = "127.0.0.1",
        ports: tuple[int, int] | None = None,
        settings: str = "",
    ) -> None:
        self.address = os.environ.get(VARIABLE, "") if ports is None and not settings else ""
        self._settings = settings
        self.host = host
        self._seed = seed
        self._ports = ports
        self._commitlog = _COMMITLOGS[commitlog]
        self._folder = FOLDER / f"node-{os.getpid()}-{next(_numbers)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """With what an earlier life of it has kept. Raises NoCassandraError."""
        if self.address and self._ports is None:
            return
        absent = [name for name in ("java", "mvn") if shutil.which(name) is None]
        if absent:
            raise NoCassandraError(
                f"Cassandra needs {' and '.join(absent)}: install Java 17 and Maven, or name a cluster in {VARIABLE}=host:port"
            )
        library = _jars()
        folder = self._folder
        port, storage_port = self._ports or (free_port(), free_port())
        (folder / "conf").mkdir(parents=True, exist_ok=True)
        yaml = _YAML.format(
            folder=folder, host=self.host, seed=self._seed, port=port, storage_port=storage_port, commitlog=self._commitlog
        )
        yaml += self._settings
        (folder / "conf" / "cassandra.yaml").write_text(yaml)
        command = _command(library, folder)
        with (folder / "out.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self._wait(folder / "out.log", port)
        self.address = f"{self.host}:{port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the node was started"
        return self._process.pid

    def kill(self) -> None:
        """kill -9; `start()` brings it back with its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait(self, log: pathlib.Path, port: int) -> None:
        """The log says that it starts to listen a moment before it does."""
        assert self._process is not None, "the node was started"
        deadline = time.monotonic() + START_SECONDS_MAX
        while "Starting listening for CQL" not in (text := log.read_text(errors="replace")) or not self._listens(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = [line for line in text.splitlines() if "ERROR" in line or "Exception" in line]
                raise NoCassandraError("\n".join(["Cassandra did not start:", *said[:20], "the end of its log:", text[-2000:]]))
            time.sleep(0.3)

    def _listens(self, port: int) -> bool:
        with socket.socket() as trying:
            return trying.connect_ex((self.host, port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self.kill()
            shutil.rmtree(self._folder, ignore_errors=True)


def _jars() -> pathlib.Path:
    """Fetched whole by the first process that asks."""
    library, arriving = FOLDER / "lib", FOLDER / "arriving"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.is_dir():
            return library
        print("fetching Cassandra's jars through Maven, once", file=sys.stderr, flush=True)
        shutil.rmtree(arriving, ignore_errors=True)
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(ROOT / "tests" / "pom.xml"), "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={arriving}"],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise NoCassandraError(f"Maven could not fetch Cassandra:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        arriving.rename(library)
    return library


def _command(library: pathlib.Path, folder: pathlib.Path) -> list[str]:
    conf = folder / "conf"
    (conf / "logback.xml").write_text(_LOGBACK)
    return [
        "java", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-Xss384k", "-Djdk.attach.allowAttachSelf=true",
        *[f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS],
        *[f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS],
        f"-Dcassandra.config=file://{conf}/cassandra.yaml", f"-Dlogback.configurationFile=file://{conf}/logback.xml",
        f"-Dcassandra.storagedir={folder}", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.ring_delay_ms=1000", "-Dcassandra.consistent.rangemovement=false",
        "-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra-foreground=yes",
        "-cp", f"{conf}:{library}/*", "org.apache.cassandra.service.CassandraDaemon",
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
