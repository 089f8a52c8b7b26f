"""Which build of the code a worker has: the name by which servers tell code that can go on with a run from code that can't.

Whoever deploys names it (`--build`, `Worker(build=)`, DURABLE_SAGA_BUILD). Else it is made from what is there: the version of
the distribution that the saga modules come from, and a hash over their packages and the version of durable_saga. So the same
files have the same name everywhere, and a changed file has another one, also where nobody counts versions up.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from types import ModuleType

from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga, Saga
from durable_saga.pb.limits import BUILD_CHARACTERS_MAX

BUILD_VARIABLE = "DURABLE_SAGA_BUILD"
BUILD_FILES_MAX = 2_000
"""Of a package; of one with more, the saga modules alone are looked at."""
_HASH_CHARACTERS = 8
_code_of: dict[str, dict[str, str]] = {}
"""For each name that was made here, the code of each saga."""


def build_of(sagas: Sequence[AnySaga], given: str | None = None) -> str:
    """Raises ValueError for a name that can't be one."""
    chosen = given if given is not None else os.environ.get(BUILD_VARIABLE) or None
    if chosen is not None:
        return checked_build(chosen)
    places = {function_of(one).definition.name: _place(one) for one in sagas}
    name = _name_of(tuple(sorted({module for module, _ in places.values()})))
    return _told_apart(name, {saga: f"{module}:{code}" for saga, (module, code) in places.items()})


def checked_build(name: str) -> str:
    """Raises ValueError."""
    is_name = isinstance(name, str) and 1 <= len(name) <= BUILD_CHARACTERS_MAX and name.isprintable() and name == name.strip()
    if not is_name:
        raise ValueError(
            f"build is {name!r}: give a name of 1 to {BUILD_CHARACTERS_MAX} characters that can be printed, without spaces"
            " around it, such as '2026-11-28.1'"
        )
    return name


def _place(saga: AnySaga) -> tuple[str, str]:
    """Its module, and what tells it from others of that module: in one process two workers may have a saga of one name."""
    if isinstance(saga, Saga | type):
        kind = saga if isinstance(saga, type) else type(saga)
        return kind.__module__, kind.__qualname__
    function = saga.definition.function
    code = getattr(function, "__code__", None)
    digest = "" if code is None else hashlib.sha256(code.co_code + repr(code.co_names).encode()).hexdigest()[:_HASH_CHARACTERS]
    return function.__module__, f"{function.__qualname__}:{digest}"


def _told_apart(name: str, code: Mapping[str, str]) -> str:
    """The name, with a number where it already stands for other code here: what is typed at a prompt has no files."""
    number = 1
    while True:
        numbered = name if number == 1 else f"{name}.{number}"
        known = _code_of.setdefault(numbered, {})
        if all(known.get(saga, one) == one for saga, one in code.items()):
            known.update(code)
            return numbered
        number += 1


@functools.cache
def _name_of(modules: tuple[str, ...]) -> str:
    digest = hashlib.sha256(metadata.version("durable-saga").encode())
    for module in modules:
        for name, path in _files(module):
            digest.update(f"\0{name}\0".encode())
            try:
                digest.update(path.read_bytes())
            except OSError:
                continue
    hashed, version = digest.hexdigest()[:_HASH_CHARACTERS], _version(modules)
    return f"{version}+{hashed}"[:BUILD_CHARACTERS_MAX] if version else hashed


def _files(module: str) -> Iterator[tuple[str, pathlib.Path]]:
    """Of its whole package, by their names within; of a module that is in none, those of its folder that are imported too."""
    package = sys.modules.get(module.partition(".")[0])
    folders = [pathlib.Path(folder) for folder in sorted(getattr(package, "__path__", ()))]
    found = [(path, folder) for folder in folders for path in folder.rglob("*.py")]
    if found and len(found) <= BUILD_FILES_MAX:
        yield from sorted((path.relative_to(folder).as_posix(), path) for path, folder in found)
    elif found:
        yield from ((module, path) for path in _file(sys.modules.get(module)))
    else:
        for own in _file(package):
            beside = {path.name: path for one in list(sys.modules.values()) for path in _file(one) if path.parent == own.parent}
            yield from sorted(beside.items())


def _file(module: ModuleType | None) -> list[pathlib.Path]:
    name = getattr(module, "__file__", None)
    return [pathlib.Path(name)] if isinstance(name, str) and name.endswith(".py") else []


def _version(modules: Sequence[str]) -> str:
    """Of the one distribution that all of them were installed from; empty where there is none, or are several, and where the
    files lie elsewhere: what is being worked on has one version for many states."""
    packages = {module.partition(".")[0] for module in modules}
    try:
        if not all(any(_installed_beside(folder) for folder in _folders(package)) for package in packages):
            return ""
        installed = metadata.packages_distributions()
        names = {name for package in packages for name in installed.get(package, ())}
        return metadata.version(names.pop()) if len(names) == 1 else ""
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return ""


def _folders(package: str) -> list[str]:
    """Where packages are installed that lie beside this one."""
    module = sys.modules.get(package)
    inside = getattr(module, "__path__", None)
    return [os.path.dirname(one) for one in inside] if inside is not None else [str(one.parent) for one in _file(module)]


def _installed_beside(folder: str) -> bool:
    return any(name.endswith(".dist-info") for name in os.listdir(folder or "."))
