"""What is another in each process: module state that saga code changes, the order of a set, a clock in a pydantic field.
Found by reading, for `check`.

A name counts as module state when the module gives it a list, dict, set or the like; as a set when all that the function or the
module gives it is one. Sets of numbers and of tasks have one order, and what only counts, sums or sorts sees none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from durable_saga.authoring.dropped import dotted

Found = Iterator[tuple[ast.expr | ast.stmt, str, str]]
STATE, ORDER, KEPT = "DS010", "DS007", "DS011"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_MUTABLE = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque", "ChainMap"})
_CHANGES = frozenset({
    "append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "update", "setdefault", "add",
    "discard", "appendleft", "extendleft", "popleft", "rotate", "subtract", "difference_update", "intersection_update",
    "symmetric_difference_update",
})  # fmt: skip
_ORDERED = frozenset({"list", "tuple", "enumerate", "iter", "zip", "map", "filter", "reversed", "gather", "as_completed"})
_ORDERLESS = frozenset({"sorted", "set", "frozenset", "sum", "len", "min", "max", "any", "all", "dict", "Counter"})
_TASKS = ("create_task", "ensure_future", "Future", "Task", "gather", "shield")
_ADVICE = "a set of texts or objects has another order in every process: iterate over sorted(...) or a list"
_CLOCKS = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid4", "os.urandom")
_CLOCK_MODULES = ("time.", "random.", "secrets.")


def found_in(function: ast.AST, tree: ast.Module) -> Found:
    """In one function of saga code."""
    yield from _changes(function, tree)
    yield from _orders(function, _set_names(function) | (_set_names(tree) - _own_names(function)))


def kept_in(tree: ast.Module, imported: Mapping[str, str]) -> Found:
    """In a whole file: pydantic's own code calls what its fields keep, and does not look it up again."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _name(node.func, imported) not in ("pydantic.Field", "pydantic.PrivateAttr"):
            continue
        for keyword in node.keywords:
            name = _name(keyword.value, imported)
            is_clock = name.startswith(_CLOCK_MODULES) or ".".join(name.split(".")[-2:]) in _CLOCKS
            if keyword.arg == "default_factory" and is_clock:
                yield (
                    keyword.value, KEPT,
                    f"pydantic keeps {name}, which gives another value in every replay where saga code makes the model: write"
                    f" `lambda: {dotted(keyword.value)}()`",
                )  # fmt: skip


# --- module state --------------------------------------------------------------------------------------------------------


def _changes(function: ast.AST, tree: ast.Module) -> Found:
    state = {name for name, value in _given(tree.body) if _is_mutable(value)} - _own_names(function)
    for node in ast.walk(function):
        root = ""
        if isinstance(node, ast.Assign | ast.Delete):
            root = next((name for target in node.targets if (name := _root(target)) in state), "")
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            root = _root(node.target)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            root = _root(node.func)
        if root in state:
            assert isinstance(node, ast.expr | ast.stmt), "only these were looked at"
            yield (
                node,
                STATE,
                f"{root} belongs to the module, and another process or a replay has another one: use state or a local name",
            )


def _root(target: ast.expr) -> str:
    """`rooms` of `rooms["a"].guests`, empty for a name alone."""
    if not isinstance(target, ast.Subscript | ast.Attribute):
        return ""
    while isinstance(target, ast.Subscript | ast.Attribute):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return dotted(value.func).rsplit(".", 1)[-1] in _MUTABLE
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _given(body: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Names and what they are given."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def _own_names(function: ast.AST) -> set[str]:
    """Parameters and what is assigned in it."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


# --- the order of sets -----------------------------------------------------------------------------------------------------


def _set_names(where: ast.AST) -> set[str]:
    """Names that are given nothing but sets."""
    body = where.body if isinstance(where, ast.Module) else ast.walk(where)
    given = list(_given(body))
    stored = [
        node.id for node in ast.walk(where) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ] if not isinstance(where, ast.Module) else [name for name, _ in given]  # fmt: skip
    sets = [name for name, value in given if _is_set(value, set())]
    return {name for name in sets if stored.count(name) == sets.count(name)}


def _is_set(value: ast.expr, names: set[str]) -> bool:
    if isinstance(value, ast.Set):
        return not all(_is_steady(one) for one in value.elts)
    if isinstance(value, ast.SetComp):
        return not _is_steady(value.elt)
    if isinstance(value, ast.Call):
        return dotted(value.func) in ("set", "frozenset") and bool(value.args)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(value.left, names) or _is_set(value.right, names)
    return isinstance(value, ast.Name) and value.id in names


def _is_steady(element: ast.expr) -> bool:
    """A number, or a task."""
    if isinstance(element, ast.Constant):
        return isinstance(element.value, int | float)
    return isinstance(element, ast.Call) and dotted(element.func).rsplit(".", 1)[-1] in _TASKS


def _orders(function: ast.AST, names: set[str]) -> Found:
    sorted_later = {id(one) for node in ast.walk(function) if _sees_no_order(node) for one in getattr(node, "args", ())}
    for node in ast.walk(function):
        seen: list[ast.expr] = []
        if isinstance(node, ast.For | ast.AsyncFor):
            seen = [node.iter]
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and id(node) not in sorted_later:
            seen = [one.iter for one in node.generators]
        elif isinstance(node, ast.Starred):
            seen = [node.value]
        elif isinstance(node, ast.Call) and id(node) not in sorted_later and _takes_order(node.func):
            seen = node.args
        for one in seen:
            if _is_set(one, names):
                yield one, ORDER, _ADVICE


def _sees_no_order(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).rsplit(".", 1)[-1] in _ORDERLESS


def _takes_order(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute) and function.attr == "join":
        return True
    return dotted(function).rsplit(".", 1)[-1] in _ORDERED


def _name(value: ast.expr, imported: Mapping[str, str]) -> str:
    first, dot, rest = dotted(value).partition(".")
    return f"{imported.get(first, first)}{dot}{rest}"
