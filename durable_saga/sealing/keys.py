"""Where keys come from. A key has an id, `name:version`, and 32 bytes; the newest version of a name seals.

A KeyFolder reads files that are their owner's alone. What changes in it counts at once: a key that is erased is gone for
running processes too. A name that was erased is not made again, so that nobody seals for a customer who was to be forgotten.
"""

from __future__ import annotations

import base64
import binascii
import os
import pathlib
import secrets
import stat
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote, unquote

from durable_saga.errors import MissingKey

KEY_BYTES = 32
NAME_CHARACTERS_MAX = 80
KEYS_IN_MEMORY_MAX = 10_000
ERASED = "erased"
_SUFFIX, _MADE = ".key", ".made"


class Keys(Protocol):
    """Where a codec gets its keys. Both methods are called on the event loop, for each value."""

    def current(self, name: str) -> str:
        """The id of the key that seals for this name. Raises MissingKey."""

    def find(self, key_id: str) -> bytes:
        """32 bytes. Raises MissingKey."""


class KeyRing:
    """Keys in memory: `KeyRing({"default:1": key})`. Raises ValueError for a wrong id or key."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self._newest: dict[str, int] = {}
        for key_id, key in keys.items():
            name, version = split_id(key_id)
            if not version or len(key) != KEY_BYTES:
                raise ValueError(f"key {key_id!r}: an id is name:version, such as 'default:1', and a key has {KEY_BYTES} bytes")
            _checked_name(name)
            self._newest[name] = max(version, self._newest.get(name, 0))

    def current(self, name: str) -> str:
        """The id of the newest key of that name. Raises MissingKey."""
        if name not in self._newest:
            raise MissingKey(f"there is no key named {name!r} to seal with")
        return f"{name}:{self._newest[name]}"

    def find(self, key_id: str) -> bytes:
        """Raises MissingKey."""
        try:
            return self._keys[key_id]
        except KeyError:
            raise _not_here(key_id) from None


class KeyFolder:
    """Keys in a folder: `folder/name/1.key`, each file one key in base64. Characters of a name that aren't letters or digits
    are written as %XX in the folder's name."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = pathlib.Path(folder).absolute()  # the program may change its folder
        self._known: dict[str, tuple[str, tuple[int, int, int], bytes]] = {}
        self._newest: dict[str, tuple[str, int, str]] = {}

    def current(self, name: str) -> str:
        """The id of the newest key of this name. Raises MissingKey, and ValueError for a wrong name."""
        known = self._newest.get(name)
        place = str(self._place(name)) if known is None else known[0]
        try:
            changed = os.stat(place).st_mtime_ns
        except OSError:
            raise MissingKey(f"there is no key named {name!r} in {self._folder} to seal with") from None
        if known is not None and known[1] == changed:
            return known[2]
        version = max(self._versions(pathlib.Path(place)), default=0)
        if not version:
            self._newest.pop(name, None)
            raise MissingKey(f"the keys of {name!r} are erased: nothing can be sealed with this name any more")
        if len(self._newest) >= KEYS_IN_MEMORY_MAX:
            self._newest.clear()
        self._newest[name] = place, changed, f"{name}:{version}"
        return f"{name}:{version}"

    def find(self, key_id: str) -> bytes:
        """Raises MissingKey."""
        known = self._known.get(key_id)
        file = self._file(key_id) if known is None else known[0]
        try:
            found = os.lstat(file)
        except OSError:
            self._known.pop(key_id, None)
            raise _not_here(key_id, f" in {self._folder}") from None
        state = found.st_mtime_ns, found.st_ino, found.st_mode
        if known is None or known[1] != state:
            if len(self._known) >= KEYS_IN_MEMORY_MAX:
                self._known.clear()
            known = self._known[key_id] = file, state, _read(file, found)
        return known[2]

    def create(self, name: str) -> str:
        """Create the next version of this name; returns its id. Raises ValueError for a wrong or erased name, and OSError."""
        place = self._place(_checked_name(name))
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (place / ERASED).exists():
            raise ValueError(f"the keys of {name!r} are erased, and a name can't be used again: take another name")
        version = max(self._versions(place, _MADE) + self._versions(place), default=0) + 1
        (place / f"{version}{_MADE}").touch(mode=0o600, exist_ok=False)  # a number names one key, also when that is moved away
        text = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
        partial = place / f"{version}.new"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, place / f"{version}{_SUFFIX}")  # never over another key
        partial.unlink()
        _sync(place)
        self._newest.pop(name, None)
        return f"{name}:{version}"

    def erase(self, name: str) -> list[str]:
        """Erase all versions for good: what they sealed is lost. Returns their ids. Raises OSError, and MissingKey if there
        is none."""
        place = self._place(name)
        versions = self._versions(place) if place.is_dir() else []
        if not versions:
            raise MissingKey(f"there is no key named {name!r} in {self._folder}")
        (place / ERASED).touch(mode=0o600)
        for version in versions:
            file = place / f"{version}{_SUFFIX}"
            file.write_bytes(b"\0" * file.stat().st_size)  # as far as the file system writes in place
            file.unlink()
            self._known.pop(f"{name}:{version}", None)
        self._newest.pop(name, None)
        _sync(place)
        return [f"{name}:{version}" for version in versions]

    def ids(self) -> list[str]:
        """The ids of all keys, by name and version. Raises OSError."""
        found: list[str] = []
        for place in sorted(self._folder.iterdir()):
            if place.is_dir():
                found += [f"{unquote(place.name)}:{version}" for version in self._versions(place)]
        return found

    def _file(self, key_id: str) -> str:
        """Raises MissingKey for what is no id."""
        name, version = split_id(key_id)
        if not version or not 0 < len(name) <= NAME_CHARACTERS_MAX:
            raise _not_here(key_id)
        return str(self._place(name) / f"{version}{_SUFFIX}")

    def _place(self, name: str) -> pathlib.Path:
        """A folder right in ours, whatever the name is: ids come from journals."""
        return self._folder / quote(name, safe="").replace(".", "%2E")

    def _versions(self, place: pathlib.Path, suffix: str = _SUFFIX) -> list[int]:
        names = [one.name.removesuffix(suffix) for one in place.iterdir() if one.name.endswith(suffix)]
        return sorted(int(name) for name in names if name.isdecimal())


def split_id(key_id: str) -> tuple[str, int]:
    """The name and the version; 0: it is no id."""
    name, _, version = key_id.rpartition(":")
    is_number = version.isascii() and version.isdecimal() and len(version) <= 9 and not version.startswith("0")
    return name, int(version) if name and is_number else 0


def _checked_name(name: str) -> str:
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or "[" in name or "]" in name:
        raise ValueError(f"{name!r} isn't a key name: use 1 to {NAME_CHARACTERS_MAX} printable characters without brackets")
    return name


def _read(file: str, found: os.stat_result) -> bytes:
    if not stat.S_ISREG(found.st_mode):
        raise MissingKey(f"{file} isn't an ordinary file, so it can't be a key")
    if found.st_mode & 0o077:
        raise MissingKey(f"{file} isn't used as a key, because others may read it: run `chmod 600` on it")
    try:
        key = base64.b64decode(pathlib.Path(file).read_bytes(), validate=False)
    except (OSError, binascii.Error) as error:
        raise MissingKey(f"{file} can't be read as a key: {error}") from None
    if len(key) != KEY_BYTES:
        raise MissingKey(f"{file} holds {len(key)} bytes in base64; a key has {KEY_BYTES}")
    return key


def _not_here(key_id: str, where: str = "") -> MissingKey:
    return MissingKey(f"a value is sealed with the key {key_id!r}, which is not here{where}")


def _sync(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
