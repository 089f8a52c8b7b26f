"""Which messages the code that is loaded here waits for by name, read from its source: so that a mistyped one is refused where
it is sent, and not only shown as unread later.

Whoever waits holds `event`, `signal` or the package in the globals of its module, so those modules alone are read. Nothing is
guessed: a name that is computed, a function that is passed on, an import within a function, a source that is not there, and
nobody can say (None); then every name is let through.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

PACKAGE = "durable_saga"
_INSIDE = f"{PACKAGE}.authoring.inside"
_NAMES = frozenset(("event", "signal"))
_NOT_THERE = object()


class _Unknown(Exception):
    """It can't be told which names there are."""


class Waited:
    """What was found once is not looked for again: reading all modules takes milliseconds, and signals come by the thousand.

    A name that is not among them is looked for each time, because its module may have been loaded since.
    """

    def __init__(self) -> None:
        self._names: frozenset[str] | None = frozenset()

    def others(self, name: str) -> frozenset[str] | None:
        """The names that are waited for, where `name` is none of them; None where it is, or where it can't be told."""
        if self._names is not None and name not in self._names:
            self._names = waited_names()
        return None if self._names is None or name in self._names else self._names


WAITED = Waited()


def waited_names(modules: Mapping[str, Any] = sys.modules) -> frozenset[str] | None:
    """All of them, of whatever saga; None: it can't be told."""
    try:
        return frozenset(name for module in _waiting_modules(modules) for name in _names_in(module))
    except _Unknown:
        return None


def _waiting_modules(modules: Mapping[str, Any]) -> Iterator[ModuleType]:
    for name, module in list(modules.items()):
        if name == PACKAGE or name.startswith(f"{PACKAGE}.") or not isinstance(module, ModuleType):
            continue
        if any(_waits(value) or _is_package(value) for value in list(vars(module).values())):
            yield module


def _waits(value: Any) -> bool:
    """By its real type: isinstance() would ask a lazy object of somebody's (`django.conf.settings`) to load itself."""
    return type(value) is FunctionType and value.__module__ == _INSIDE and value.__name__ in _NAMES


def _is_package(value: Any) -> bool:
    return issubclass(type(value), ModuleType) and value.__name__ in (PACKAGE, _INSIDE)


def _names_in(module: ModuleType) -> Iterator[str]:
    """Raises _Unknown."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        raise _Unknown from None
    scope = vars(module)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        if any(isinstance(node, ast.ImportFrom) and node.module in (PACKAGE, _INSIDE) for node in ast.walk(function)):
            raise _Unknown
    for node in ast.walk(tree):
        if _is_waiting(node, scope):
            call = calls.get(id(node))
            if call is None:
                raise _Unknown  # passed on under another name
            yield _name_of(call, scope)


def _is_waiting(node: ast.AST, scope: Mapping[str, Any]) -> bool:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return _waits(scope.get(node.id))
    if isinstance(node, ast.Attribute) and node.attr in _NAMES and isinstance(node.value, ast.Name):
        return _is_package(scope.get(node.value.id))
    return False


def _name_of(call: ast.Call, scope: Mapping[str, Any]) -> str:
    """Raises _Unknown."""
    given = [*call.args, *(one.value for one in call.keywords if one.arg == "name")]
    found = _value_of(given[0], scope) if given else _NOT_THERE
    if not isinstance(found, str):
        raise _Unknown
    return found


def _value_of(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    """Of a constant, or of a global one: `NAME`, `Names.APPROVE`."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return scope.get(node.id, _NOT_THERE)
    if isinstance(node, ast.Attribute):
        return getattr(_value_of(node.value, scope), node.attr, _NOT_THERE)
    return _NOT_THERE
