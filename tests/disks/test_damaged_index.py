"""A store whose chunk index is damaged or gone opens all the same: the packs say what it said."""

import logging
import os
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.store import Store
from pyi_fs.errors import FormatTooNewError
from pyi_fs.store import layout
from tests.support.damage import build
from tests.support.engine_rig import opened, written
from tests.support.mounting import Mount


def damage(store: Path, kind: str) -> None:
    """Damages an index; what SQLite has in its log goes into the file first."""
    with opened(store) as once:
        assert once.index.packs()
    index = store / layout.INDEX
    data = bytearray(index.read_bytes())
    match kind:
        case "gone":
            index.unlink()
            return
        case "empty":
            data.clear()
        case "noise":
            data = bytearray(os.urandom(len(data)))
        case "magic":
            data[0] ^= 1
        case "application":
            data[71] ^= 1
        case "pages":
            data[4096:] = bytes(len(data) - 4096)
        case "half":
            del data[len(data) // 2 :]
    index.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["gone", "empty", "noise", "magic", "application", "pages", "half"]
)
def test_a_damaged_index_is_made_anew_when_the_store_is_opened(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    build(store)
    with opened(store) as before:
        packs = before.index.packs()
    damage(store, kind)
    with caplog.at_level(logging.WARNING), opened(store) as again:
        assert again.index.packs() == packs
        with written(again, "a") as (_, branch):
            assert len(branch.read(branch.tree.resolve(b"d/sealed"), 0, 40_000)) == 40_000
    assert ("made anew" in caplog.text) == (kind not in {"gone", "empty"})
    assert check_directory(store, verify_data=True) == []


def test_an_index_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    build(store)
    with opened(store):
        pass
    index = store / layout.INDEX
    data = bytearray(index.read_bytes())
    data[60:64] = (9).to_bytes(4, "big")
    index.write_bytes(data)
    with pytest.raises(FormatTooNewError):
        Store.open(store)
    assert index.read_bytes() == data


def test_a_process_that_has_the_old_index_open_finds_the_new_one(tmp_path: Path) -> None:
    store = tmp_path / "store"
    build(store)
    with opened(store) as old:
        damage_of = store / layout.INDEX
        damage_of.rename(tmp_path / "aside")
        for suffix in ("-wal", "-shm"):
            (store / (layout.INDEX + suffix)).unlink(missing_ok=True)
        with opened(store) as new:
            chunk = new.chunks.put(b"put by another process" * 100)
            new.chunks.flush()
        assert old.chunks.get(chunk) == b"put by another process" * 100


@pytest.mark.mount
@pytest.mark.slow
def test_a_damaged_index_does_not_keep_a_mount_from_starting(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Mount(store, tmp_path / "mount") as mount:
        (mount.path / "a").write_bytes(b"a" * 9000)
    (store / layout.INDEX).write_bytes(os.urandom(20_000))
    with Mount(store, tmp_path / "mount") as mount:
        assert (mount.path / "a").read_bytes() == b"a" * 9000
    assert "made anew from the packs" in mount.log
