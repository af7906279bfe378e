"""Plain files under a check: wrong bytes are found, strange names, and what a crash left."""

import os
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.repair import repair
from tests.support.engine_rig import noise, opened
from tests.support.plain_rig import materialised, plain_paths, sealed


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with opened(tmp_path / "store") as store:
        (inode,) = sealed(store, (b"f", noise(300_000)))
        materialised(store, inode)
    return tmp_path / "store"


def found(store: Path, *, verify_data: bool = True) -> list[tuple[str, str, str]]:
    findings = check_directory(store, verify_data=verify_data)
    return [(one.severity, one.kind, one.file) for one in findings]


def test_a_plain_file_that_is_right_is_none(store: Path) -> None:
    assert found(store) == []
    assert found(store, verify_data=False) == []


def test_wrong_bytes_are_found_and_mended_by_removing_them(store: Path) -> None:
    (path,) = plain_paths(store)
    path.write_bytes(noise(300_000)[:-1] + b"x")
    name = str(path.relative_to(store))
    assert found(store, verify_data=False) == []
    assert found(store) == [("error", "plain", name)]
    assert [step.file for step in repair(store)] == [name]
    assert found(store) == []
    assert plain_paths(store) == []


def test_what_does_not_belong_there_is_named(store: Path) -> None:
    (path,) = plain_paths(store)
    for name, age in (("stray", 0), ("old.tmp", 1000), ("new.tmp", 0)):
        other = path.with_name(name)
        other.touch(mode=0o600)
        os.utime(other, (other.stat().st_mtime - age,) * 2)
    (store / "plain" / "file").touch(mode=0o600)
    directory = path.parent.relative_to(store)
    assert sorted(found(store)) == [
        ("note", "stray", f"{directory}/old.tmp"),
        ("warning", "stray", f"{directory}/stray"),
        ("warning", "stray", "plain/file"),
    ]


def test_a_file_that_others_may_read_is_told(store: Path) -> None:
    (path,) = plain_paths(store)
    path.chmod(0o644)
    assert [one[1:] for one in found(store)] == [("mode", str(path.relative_to(store)))]
