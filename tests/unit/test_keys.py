"""Keys of sealed values: names, versions, files, what is erased; ids come from journals and name no other file."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from durable_saga.cli import main
from durable_saga.errors import MissingKey
from durable_saga.sealing import KeyFolder, KeyRing
from durable_saga.sealing.keys import ERASED, split_id


def test_a_key_has_the_next_version_of_its_name_and_is_its_owners_alone(tmp_path: pathlib.Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    with pytest.raises(MissingKey, match="no key named 'a/b'"):
        keys.current("a/b")
    assert keys.create("a/b") == "a/b:1" == keys.current("a/b")
    first = keys.find("a/b:1")
    assert keys.create("a/b") == "a/b:2" == keys.current("a/b")
    assert len({first, keys.find("a/b:1"), keys.find("a/b:2")}) == 2
    assert keys.create("ä.1:2") == "ä.1:2:1"
    assert len(keys.find("ä.1:2:1")) == 32
    assert keys.ids() == ["a/b:1", "a/b:2", "ä.1:2:1"] or keys.ids() == ["ä.1:2:1", "a/b:1", "a/b:2"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.rglob("*") if one.is_file()} == {0o600}
    assert KeyFolder(tmp_path / "keys").find("a/b:1") == first


def test_what_changes_in_the_folder_counts_at_once_in_a_process_that_runs(tmp_path: pathlib.Path) -> None:
    here, there = KeyFolder(tmp_path), KeyFolder(tmp_path)
    here.create("a")
    key = there.find("a:1")
    assert here.erase("a") == ["a:1"]
    for folder in (here, there):
        with pytest.raises(MissingKey, match="'a:1', which is not here"):
            folder.find("a:1")
        with pytest.raises(MissingKey, match="erased"):
            folder.current("a")
        with pytest.raises(ValueError, match="can't be used again"):
            folder.create("a")
    assert key not in b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
    with pytest.raises(MissingKey):
        here.erase("a")


def test_a_number_names_one_key_also_when_that_key_is_moved_away(tmp_path: pathlib.Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    keys.create("a")
    (tmp_path / "keys" / "a" / "1.key").rename(tmp_path / "away")
    assert keys.create("a") == "a:2"
    with pytest.raises(MissingKey):
        keys.find("a:1")
    (tmp_path / "away").rename(tmp_path / "keys" / "a" / "1.key")
    assert keys.find("a:1") != keys.find("a:2")


def test_a_file_that_is_no_key_or_that_others_may_read_is_not_used(tmp_path: pathlib.Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.create("a")
    file = tmp_path / "a" / "1.key"
    file.chmod(0o640)
    with pytest.raises(MissingKey, match="chmod 600"):
        keys.find("a:1")
    file.chmod(0o600)
    file.write_text("c2hvcnQ=\n")
    with pytest.raises(MissingKey, match="holds 5 bytes"):
        keys.find("a:1")
    file.write_text("a")
    with pytest.raises(MissingKey, match="can't be read as a key"):
        keys.find("a:1")
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MissingKey, match="an ordinary file"):
        keys.find("a:1")


@given(
    st.one_of(st.text(max_size=100), st.sampled_from(["../a:1", "..:1", ".:1", "/etc:1", "a:01", "a:-1", "a:²", ":1", "a:"]))
)
def test_no_id_names_a_file_elsewhere(key_id: str) -> None:
    name, version = split_id(key_id)
    place = KeyFolder("keys")._place(name)
    assert place.parent == pathlib.Path("keys").absolute() or not name
    assert place.name not in (".", "..")
    assert version == 0 or f"{name}:{version}" == key_id
    with pytest.raises(MissingKey):
        KeyFolder("keys-that-are-not-there").find(key_id)


@pytest.mark.parametrize("name", ["", "a" * 81, "a\nb", "a]b", "[a"])
def test_what_is_no_name_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="a key name"):
        KeyFolder(tmp_path).create(name)
    with pytest.raises(ValueError, match=r"a key name|an id is name:version"):
        KeyRing({f"{name}:1": bytes(32)})


def test_a_ring_is_checked_and_seals_with_the_newest() -> None:
    ring = KeyRing({"a:9": bytes(32), "a:10": bytes(32), "b:1": bytes(32)})
    assert (ring.current("a"), ring.current("b")) == ("a:10", "b:1")
    for wrong in ({"a": bytes(32)}, {"a:0": bytes(32)}, {"a:1": bytes(16)}):
        with pytest.raises(ValueError, match="an id is name:version"):
            KeyRing(wrong)
    with pytest.raises(MissingKey):
        ring.current("c")


def test_a_person_makes_lists_and_erases_keys(tmp_path: pathlib.Path) -> None:
    run = CliRunner().invoke
    folder = ["--keys", str(tmp_path / "keys")]
    assert run(main, ["keys", "create", "c-7", *folder]).output == "c-7:1\n"
    assert run(main, ["keys", "create", "c-7", *folder]).output == "c-7:2\n"
    assert run(main, ["keys", "list", *folder]).output == "c-7:1\nc-7:2\n"
    assert run(main, ["keys", "erase", "c-7", *folder], input="n\n").exit_code == 1
    assert run(main, ["keys", "list", *folder]).output == "c-7:1\nc-7:2\n"
    assert run(main, ["keys", "erase", "c-7", "--yes", *folder]).output == "erased: c-7:1, c-7:2\n"
    assert run(main, ["keys", "list", *folder]).output == ""
    assert "can't be used again" in run(main, ["keys", "create", "c-7", *folder]).output
    assert "no key named" in run(main, ["keys", "erase", "c-8", "--yes", *folder]).output
    assert sorted(os.listdir(tmp_path / "keys" / "c-7")) == ["1.made", "2.made", ERASED]
