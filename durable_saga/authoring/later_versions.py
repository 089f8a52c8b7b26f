"""Calls of `since()` for a version that the saga does not have: what they guard is never done. Found by reading, for `check`.

Looked at are sagas with their inner functions, their signal handlers, and the methods of tables; for versions that are written
as numbers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from durable_saga.authoring.dropped import Function, dotted

CODE = "DS021"


def asked_in(tree: ast.Module, imported: Mapping[str, str]) -> Iterator[tuple[ast.expr, str, str]]:
    """Each such call, with its code and what to do. `imported`: what the names that the file imports stand for."""
    versions: dict[str, int | None] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function) and (decorator := _decorator(node, "saga")) is not None:
            versions[node.name] = _version_given(decorator)
            yield from _beyond(node, node.name, versions[node.name], imported)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(dotted(one).rsplit(".", 1)[-1].endswith("Saga") for one in node.bases):
            yield from _beyond(node, node.name, _version_of_class(node), imported)
        elif isinstance(node, Function) and (decorator := _decorator(node, "signal")) is not None:
            name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator).rpartition(".")[0]
            if name in versions:
                yield from _beyond(node, name, versions[name], imported)


def _beyond(
    within: ast.AST, saga: str, version: int | None, imported: Mapping[str, str]
) -> Iterator[tuple[ast.expr, str, str]]:  # fmt: skip
    """`version` None: it is not written as a number."""
    if version is None:
        return
    for node in ast.walk(within):
        if not isinstance(node, ast.Call) or not _is_since(node.func, imported):
            continue
        given = [*node.args, *(one.value for one in node.keywords if one.arg == "version")]
        asked = _number(given[0]) if given else None
        if asked is not None and asked > version:
            yield (
                node, CODE,
                f"since({asked}) is false in every run: {saga} has version {version}. Declare version={asked}, or ask for an"
                " earlier one",
            )  # fmt: skip


def _is_since(function: ast.expr, imported: Mapping[str, str]) -> bool:
    first, dot, rest = dotted(function).partition(".")
    return f"{imported.get(first, first)}{dot}{rest}" in ("since", "durable_saga.since", "durable_saga.authoring.inside.since")


def _decorator(function: Function, mark: str) -> ast.expr | None:
    for one in function.decorator_list:
        if dotted(one.func if isinstance(one, ast.Call) else one).rsplit(".", 1)[-1] == mark:
            return one
    return None


def _version_given(decorator: ast.expr) -> int | None:
    if not isinstance(decorator, ast.Call):
        return 1
    if any(one.arg is None for one in decorator.keywords):
        return None  # **options
    return next((_number(one.value) for one in decorator.keywords if one.arg == "version"), 1)


def _version_of_class(node: ast.ClassDef) -> int | None:
    for one in node.body:
        targets = one.targets if isinstance(one, ast.Assign) else [one.target] if isinstance(one, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "version" for target in targets):
            return _number(one.value) if isinstance(one, ast.Assign | ast.AnnAssign) else None
    is_direct = any(dotted(base).rsplit(".", 1)[-1] == "Saga" for base in node.bases)
    return 1 if is_direct else None  # a base of the user's may say it


def _number(node: ast.expr | None) -> int | None:
    is_number = isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool)
    return node.value if is_number else None  # type: ignore[union-attr]  # just looked at
