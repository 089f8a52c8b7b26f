"""The static determinism check: reads saga code and names what replay can't repeat. Finds what the guard can't reach too,
such as module state that a saga changes. It reads; it never imports or runs the code."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from durable_saga.authoring import later_versions, shared_state
from durable_saga.authoring.dropped import CODE as DROPPED
from durable_saga.authoring.dropped import Function, dotted, dropped_in, known_in, marked_in

_LOCAL = "is local time, and workers may be in different time zones: use durable_saga.now()"
_CALLS = {
    "datetime.now": ("DS001", _LOCAL),
    "datetime.today": ("DS001", _LOCAL),
    "date.today": ("DS001", _LOCAL),
    "time.sleep": ("DS002", "stops every saga of the worker: use await asyncio.sleep()"),
    "uuid.uuid1": ("DS003", "gives another value in every replay: use uuid4()"),
    "open": ("DS004", "touches a file: do it in a @step"),
    "input": ("DS004", "waits for a person: use await signal()"),
    "os.getenv": ("DS005", "may differ in every process: pass it as an argument"),
    "asyncio.to_thread": ("DS006", "starts a thread: call a @step that is a plain function"),
}
_PREFIXES = {
    "requests.": ("DS004", "talks to the network: do it in a @step"),
    "httpx.": ("DS004", "talks to the network: do it in a @step"),
    "aiohttp.": ("DS004", "talks to the network: do it in a @step"),
    "urllib.": ("DS004", "talks to the network: do it in a @step"),
    "socket.": ("DS004", "talks to the network: do it in a @step"),
    "subprocess.": ("DS004", "starts a process: do it in a @step"),
    "threading.": ("DS006", "starts threads: use asyncio tasks, or a @step"),
    "secrets.": ("DS003", "follows from the run's seed, which is in the journal: make secrets in a @step"),
    "numpy.random.": ("DS003", "gives another value in every replay: use durable_saga.random()"),
    "ssl.RAND_": ("DS003", "gives another value in every replay: use durable_saga.random()"),
}

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SAGA_METHODS = ("define", "compensation_order", "execute_step", "handle_event")
_TAKES_DECIDING = ("saga", "compensation", "scope", "Step", "Parallel", "WaitForEvent", "SubSaga")
_DECIDING = ("when", "condition", "compensation_when", "compensation_order", "order", "context")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`line` and `column` count from 1."""

    path: pathlib.Path
    line: int
    column: int
    code: str
    message: str


def check_paths(paths: Sequence[pathlib.Path]) -> list[Finding]:
    """Findings in Python files and folders, in order. A file that can't be parsed is a finding (DS000)."""
    found: list[Finding] = []
    trees: dict[pathlib.Path, ast.Module] = {}
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            try:
                trees[file] = ast.parse(file.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError) as error:
                found.append(Finding(file, getattr(error, "lineno", 1) or 1, 1, "DS000", f"can't be read: {error}"))
    marked = {_module(file): marked_in(tree) for file, tree in trees.items()}
    for file, tree in trees.items():
        found += _check_file(file, tree, known_in(tree, marked))
    return sorted(set(found))  # a function inside another one is looked at twice


def _module(file: pathlib.Path) -> str:
    return file.parent.name if file.stem == "__init__" else file.stem


def _check_file(file: pathlib.Path, tree: ast.Module, known: Mapping[str, str]) -> list[Finding]:
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    found: list[Finding] = []
    imported = _imported(tree)
    for place, code, message in shared_state.kept_in(tree, imported):
        found.append(Finding(file, place.lineno, place.col_offset + 1, code, message))
    for place, code, message in later_versions.asked_in(tree, imported):
        found.append(Finding(file, place.lineno, place.col_offset + 1, code, message))
    for function in _saga_code(functions, tree):
        for call, advice in dropped_in(function, known) if isinstance(function, _FUNCTIONS) else ():
            found.append(Finding(file, call.lineno, call.col_offset + 1, DROPPED, advice))
        for place, code, message in shared_state.found_in(function, tree):
            found.append(Finding(file, place.lineno, place.col_offset + 1, code, message))
        for node in ast.walk(function):
            for code, message in _judge(node, imported):
                assert isinstance(node, ast.expr | ast.stmt), "only these have a place"
                found.append(Finding(file, node.lineno, node.col_offset + 1, code, message))
    return found


def _saga_code(functions: dict[str, Function], tree: ast.Module) -> list[Function | ast.Lambda]:
    """Sagas, signal handlers, methods of tables, conditions and orders, functions inside sagas, and the plain functions of the
    module which they call; steps are left out."""
    waiting: list[Function | ast.Lambda] = [one for one in functions.values() if _is_marked(one, ("saga", "signal"))]
    waiting += _in_tables(tree)
    waiting += _deciding(tree, functions)
    seen: dict[Function | ast.Lambda, None] = {}
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen[function] = None
        for node in ast.walk(function):
            called = functions.get(node.func.id) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
            if called is not None and not _is_marked(called, ("step", "compensation")):
                waiting.append(called)
            elif isinstance(node, _FUNCTIONS) and not _is_marked(node, ("step", "compensation")):
                waiting.append(node)
    return list(seen)


def _in_tables(tree: ast.Module) -> Iterator[Function]:
    """The methods of sagas that run in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(dotted(base).rsplit(".", 1)[-1].endswith("Saga") for base in node.bases):
            yield from (one for one in node.body if isinstance(one, _FUNCTIONS) and one.name in _SAGA_METHODS)


def _deciding(tree: ast.Module, functions: dict[str, Function]) -> Iterator[Function | ast.Lambda]:
    """What is given as a condition or an order, and the contexts of sub-sagas."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or dotted(node.func).rsplit(".", 1)[-1] not in _TAKES_DECIDING:
            continue
        for value in [one.value for one in node.keywords if one.arg in _DECIDING]:
            if isinstance(value, ast.Lambda):
                yield value
            elif isinstance(value, ast.Name) and value.id in functions:
                yield functions[value.id]


def _is_marked(function: ast.FunctionDef | ast.AsyncFunctionDef, marks: tuple[str, ...]) -> bool:
    for decorator in function.decorator_list:
        name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name.rsplit(".", 1)[-1] in marks:
            return True
    return False


def _imported(tree: ast.Module) -> dict[str, str]:
    """What the names that the file imports stand for: `from time import sleep as rest` gives rest: time.sleep."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return found


def _judge(node: ast.AST, imported: dict[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Call):
        first, dot, rest = dotted(node.func).partition(".")
        name = f"{imported.get(first, first)}{dot}{rest}"
        short = ".".join(name.split(".")[-2:])
        if (verdict := _CALLS.get(name) or _CALLS.get(short)) is not None or (
            verdict := next((v for prefix, v in _PREFIXES.items() if name.startswith(prefix)), None)
        ) is not None:
            if verdict[1] is not _LOCAL or not (node.args or node.keywords):
                yield verdict[0], f"{name}() {verdict[1]}"
        elif short.endswith(".run_in_executor"):
            yield "DS006", f"{name}() starts a thread: call a @step that is a plain function"
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for one in node.decorator_list:
            cached = dotted(one.func if isinstance(one, ast.Call) else one)
            if imported.get(cached, cached) in ("functools.cache", "functools.lru_cache"):
                yield (
                    "DS009",
                    f"{node.name} is cached, and the cache of another process or of a replay holds other values: use state",
                )
    elif isinstance(node, ast.Global):
        yield "DS008", f"global {', '.join(node.names)}: another process does not have this value: use state or a local name"
    elif isinstance(node, ast.Subscript) and dotted(node.value) == "os.environ":
        yield "DS005", "os.environ may differ in every process: pass it as an argument"
