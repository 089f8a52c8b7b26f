"""The house rules that a machine can check: sizes, import arrows, public names, no paths of a machine."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
from collections.abc import Mapping, Sequence

import pytest

import durable_saga

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULE_LINES_MAX, FUNCTION_LINES_MAX, CLASS_LINES_MAX, TEST_FILE_LINES_MAX = 400, 50, 250, 500
BANNED = {"utils", "helpers", "common", "core", "base", "data", "info", "impl"}
PURE = ("errors", "codec", "definition", "failures", "replay")
ARROWS = {
    "failure_info": ("pb",),
    "errors": ("failure_info", "pb"),
    "clock": ("machine", "pb"),
    "machine": (),
    "frames": (),
    "telemetry": (),
    "codec": ("errors", "pb"),
    "redaction": ("pb",),
    "failures": ("codec", "errors", "failure_info", "machine", "pb", "redaction"),
    "definition": ("codec", "errors"),
    "replay": ("codec", "definition", "errors", "failures", "machine", "pb", "redaction"),
    "authoring": ("codec", "definition", "errors", "pb", "replay"),
    "hooks": ("authoring", "definition", "errors"),
    "contrib": ("hooks", "telemetry"),
    "declared": ("authoring", "codec", "definition", "errors", "pb", "replay"),
    "transport": ("definition", "errors", "machine", "pb", "replay"),
    "sealing": ("codec", "errors", "pb", "transport"),
    "watchdog": ("errors", "frames", "replay"),
    "queries": ("codec", "definition", "errors", "failures", "pb", "replay", "sealing", "transport", "watchdog"),
    "client": (
        "authoring", "clock", "codec", "declared", "definition", "errors", "failure_info", "failures", "hooks", "machine", "pb",
        "queries", "redaction", "replay", "sealing", "telemetry", "transport",
    ),
    "recorded": ("errors", "pb"),
    "rehearsal": ("client", "definition", "errors", "pb", "recorded", "replay", "worker"),
    "worker": (
        "authoring", "client", "clock", "codec", "declared", "definition", "errors", "failure_info", "failures", "frames",
        "hooks", "machine", "pb", "queries", "redaction", "replay", "sealing", "telemetry", "transport", "watchdog",
    ),
    "manager": ("client", "clock", "codec", "declared", "definition", "errors", "pb", "sealing", "worker"),
}  # fmt: skip
"""What each part of the SDK may import of the others; page, testing and the command line stand above and may all."""
SERVER_ARROWS = {
    "clock": (),
    "config": (),
    "history": (),
    "tending": ("clock",),
    "journal": ("clock", "history", "tending"),
    "means": ("clock", "config", "journal"),
    "keys": ("journal",),
    "failures": ("journal",),
    "access": ("clock", "failures", "journal", "tending"),
    "cell": ("clock", "config", "journal", "tending"),
    "large": ("clock", "config", "failures", "journal", "keys"),
    "calls": ("access", "cell", "failures"),
    "workers": (
        "access", "cell", "clock", "config", "failures", "history", "journal", "keys", "large", "means", "tending",
    ),
    "waking": ("cell", "clock", "config", "history", "journal", "tending", "workers"),
    "runs": (
        "cell", "clock", "config", "failures", "history", "journal", "keys", "large", "means", "waking", "workers",
    ),
    "service": (
        "access", "calls", "cell", "clock", "config", "failures", "journal", "large", "means", "runs", "waking", "workers",
    ),
    "incoming": ("access", "clock", "config", "failures", "journal", "service", "tending"),
}  # fmt: skip
"""What each part of the server may import of the others. All of them stand here."""
PUBLIC = [
    "Build", "Call", "Client", "DescribedStep", "Description", "EventBus", "EventType", "FailureInfo", "Handle",
    "HistoryEvent", "Hook", "Identity", "ListPage", "Listed", "NotApplied", "Outcomes", "Overview", "Parallel", "Retry",
    "Rights", "RollOut", "Saga", "SagaContext", "SagaFunction", "SagaManager", "SagaMonitor", "SagaOrchestrator", "SagaState",
    "SagaStep", "Statistics", "Status", "Step", "StepContext", "StepFunction", "SubSaga", "SyncClient", "SyncHandle",
    "WaitForEvent", "Waiting", "Worker", "WorkerLifespan", "all_of", "compensation", "connect", "continue_as_new",
    "correlate", "event", "event_type", "hook", "now", "on_failure", "pivot", "saga", "saga_context", "scope",
    "set_attributes", "signal", "since", "sleep", "state", "step", "step_context", "uuid4", "wait_until", "worker_lifespan",
]  # fmt: skip


def sources(*folders: str) -> list[pathlib.Path]:
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if "pb" not in file.parts]


def imports(file: pathlib.Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_modules_functions_and_classes_keep_their_sizes() -> None:
    too_long = []
    for file in sources("durable_saga", "server", "tests", "examples", "benchmarks"):
        lines_max = TEST_FILE_LINES_MAX if "tests" in file.parts else MODULE_LINES_MAX
        text = file.read_text()
        if text.count("\n") > lines_max:
            too_long.append(str(file.relative_to(ROOT)))
        for node in ast.walk(ast.parse(text)):
            limit = CLASS_LINES_MAX if isinstance(node, ast.ClassDef) else FUNCTION_LINES_MAX
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > limit:
                    too_long.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name} has {size} lines")
    assert not too_long


def test_the_pure_layers_import_no_io() -> None:
    forbidden = (
        "grpc",
        "cassandra",
        "durable_saga_server",
        "sqlite3",
        "socket",
        "durable_saga.client.client",
        "durable_saga.worker.worker",
    )
    wrong = []
    for name in PURE:
        place = ROOT / "durable_saga" / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            wrong += [f"{file.name}: {one}" for one in imports(file) if one.startswith(forbidden)]
    assert not wrong


def modules() -> dict[str, pathlib.Path]:
    found = {}
    for base in (ROOT, ROOT / "server"):
        for file in sorted(base.glob("durable_saga*/**/*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def test_no_module_stands_in_a_circle_of_imports() -> None:
    """Nor by `if TYPE_CHECKING`, nor by an import within a function."""
    files = modules()
    arrows = {name: imports(file) & files.keys() - {name} for name, file in files.items() if ".pb" not in name}
    arrows = {name: to - {above for above in to if name.startswith(f"{above}.")} for name, to in arrows.items()}
    circles = {name for name in arrows if name in _reached(arrows, name)}
    assert not circles


def _reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        for one in arrows.get(left.pop(), set()) - found:
            found.add(one)
            left.append(one)
    return found


def test_each_part_of_the_sdk_imports_what_stands_below_it() -> None:
    wrong = []
    for name, file in modules().items():
        parts = name.split(".")
        if parts[0] != "durable_saga" or len(parts) < 2 or parts[1] not in ARROWS:
            continue
        used = {one.split(".")[1] for one in imports(file) if one.startswith("durable_saga.") and one in modules()}
        wrong += [f"{name} -> {one}" for one in used - {parts[1], *ARROWS[parts[1]]}]
    assert not wrong


def test_each_part_of_the_server_imports_what_stands_below_it() -> None:
    wrong, parts = [], set()
    for name, file in modules().items():
        if not name.startswith("durable_saga_server."):
            continue
        part = name.split(".")[1]
        parts.add(part)
        used = {one.split(".")[1] for one in imports(file) & modules().keys() if one.startswith("durable_saga_server.")}
        wrong += [f"{name} -> {one}" for one in sorted(used - {part, *SERVER_ARROWS.get(part, ())})]
    assert not wrong
    assert parts == SERVER_ARROWS.keys()


@pytest.mark.parametrize("table", [ARROWS, SERVER_ARROWS], ids=["sdk", "server"])
def test_the_arrows_between_the_parts_make_no_circle(table: Mapping[str, Sequence[str]]) -> None:
    arrows = {name: set(to) for name, to in table.items()}
    assert not [name for name in arrows if name in _reached(arrows, name)]


def test_the_server_imports_nothing_of_the_sdk_but_the_wire() -> None:
    allowed = ("durable_saga.pb", "durable_saga.telemetry", "durable_saga_server")
    for file in sources("server"):
        ours = {one for one in imports(file) if one.startswith("durable_saga")}
        assert not [one for one in ours if not one.startswith(allowed)], file.name


def test_only_connect_and_the_command_line_reach_from_the_sdk_to_the_server() -> None:
    reaching = {
        str(file.relative_to(ROOT / "durable_saga")).partition("/")[0 if file.parent.name in ("cli", "testing") else 2]
        for file in sources("durable_saga")
        if any(one.startswith("durable_saga_server") for one in imports(file))
    }
    assert reaching <= {"connect.py", "cli", "testing"}


def test_the_public_names_are_these() -> None:
    assert sorted(durable_saga.__all__) == PUBLIC


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [file for file in sources("durable_saga", "server") if file.stem in BANNED]


def test_no_file_names_a_place_of_one_machine() -> None:
    pattern = re.compile(r"[\"' (](/(home|root|work|Users)/|/tmp/\w)")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    wrong = []
    for name in tracked:
        if name.endswith((".py", ".md", ".toml", ".proto", ".yml")) and name != "tests/test_tidy.py" and (ROOT / name).exists():
            wrong += [f"{name}: {line}" for line in (ROOT / name).read_text().splitlines() if pattern.search(line)]
    assert not wrong


def test_the_generated_code_is_what_the_protocol_says() -> None:
    python = ROOT / ".venv-proto" / "bin" / "python"
    assert python.exists(), "what generates it is not here: make setup"
    done = subprocess.run([str(python), "proto/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
