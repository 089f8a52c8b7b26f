"""Calls in saga code whose coroutine is dropped: `reserve(order)` without `await` does nothing. Found by reading, for `check`.

A call is known when its name is that of a step or saga of the files that are looked at (defined there, or imported from one of
them), or one of ours (`sleep`, `event`, `signal`, `continue_as_new`, `scope`, `asyncio.sleep`), or `super().execute_step`. It
is dropped when it stands alone, when it is returned as it is, or when the name that it is given to is not used in the function.
What is passed on (to `gather`, a list, a task) is not looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

Function = ast.FunctionDef | ast.AsyncFunctionDef
CODE = "DS020"
_OURS = {
    "durable_saga": ("sleep", "event", "signal", "continue_as_new", "scope"),
    "asyncio": ("sleep", "wait_for", "wait"),
}


def marked_in(tree: ast.Module) -> dict[str, str]:
    """Names of steps and sagas of the module's top level and of its functions, with what they are."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            for decorator in node.decorator_list:
                name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator).rsplit(".", 1)[-1]
                if name in ("step", "saga"):
                    found[node.name] = name
    return found


def known_in(tree: ast.Module, others: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What calls of the module are known, as they are written, with what they are. `others` has what is marked in the other
    files, by the last part of their module's name."""
    found = marked_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").rsplit(".", 1)[-1]
            for name in node.names:
                if name.name in _OURS.get(node.module or "", ()):
                    found[name.asname or name.name] = name.name
                elif name.name in others.get(module, {}):
                    found[name.asname or name.name] = others[module][name.name]
                elif name.name in others:  # from shop import steps
                    found |= {f"{name.asname or name.name}.{one}": kind for one, kind in others[name.name].items()}
        elif isinstance(node, ast.Import):
            for name in node.names:
                written = name.asname or name.name
                found |= {f"{written}.{one}": one for one in _OURS.get(name.name, ())}
                found |= {f"{written}.{one}": kind for one, kind in others.get(name.name.rsplit(".", 1)[-1], {}).items()}
    return found


def dropped_in(function: Function, known: Mapping[str, str]) -> Iterator[tuple[ast.expr, str]]:
    """Each such call, with what to do instead."""
    own = list(_own_nodes(function))
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)}
    shadowed = {node.id for node in own if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    shadowed |= {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    for node in own:
        for call, left in _left(node, used, isinstance(function, ast.AsyncFunctionDef)):
            name = _name(call)
            if name in shadowed or (kind := known.get(name, "step" if name == "super().execute_step" else "")) == "":
                continue
            if kind == "scope":
                yield call, f"{name}() opens nothing where it stands {left}: write `async with {name}():`"
            else:
                yield call, f"{name}() does nothing where it stands {left}: write `await {name}(...)`"


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Without those of functions inside, which are looked at for themselves."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _left(node: ast.AST, used: set[str], is_async: bool) -> Iterator[tuple[ast.Call, str]]:
    if isinstance(node, ast.Expr):
        for call in _values(node.value):
            yield call, "alone"
    elif isinstance(node, ast.Return) and is_async and node.value is not None:
        for call in _values(node.value):
            yield call, "behind `return`"
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets: Sequence[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target]
        if all(isinstance(one, ast.Name) and one.id not in used for one in targets):
            for call in _values(node.value):
                yield call, "and what it gives is not used"


def _values(node: ast.expr) -> Iterator[ast.Call]:
    """The calls whose value this is: itself, or the branches of a condition, or the last of `a and b`."""
    if isinstance(node, ast.Call):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from _values(node.body)
        yield from _values(node.orelse)
    elif isinstance(node, ast.BoolOp):
        yield from _values(node.values[-1])


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
        return f"{dotted(function.value.func)}().{function.attr}"
    return dotted(function)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of names and attributes; empty for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""
