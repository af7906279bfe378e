"""Plain files of sealed files: right bytes or none."""

import errno
import logging
import threading
from pathlib import Path

import pytest

from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.gc_settings import Settings, write_settings
from pyi_fs.engine.materialising import Materialiser
from pyi_fs.engine.store import Store
from pyi_fs.model import extent
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Allocate
from pyi_fs.store import chunks
from pyi_fs.store.plain_files import PlainFiles
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.plain_rig import ANY_ROOM, newest, plain_paths, sealed

DATA = noise(700_000, "data")


@pytest.fixture
def store(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        write_settings(store.storage, ANY_ROOM)
        yield store


def read(store: Store, inode: Inode) -> bytes | None:
    """Returns what the plain file of a file has, None if there is none."""
    file = Materialiser(store).plain(inode)
    return None if file is None else store.storage.read(file.path)


def test_a_sealed_file_is_made_once_and_found_by_others(store: Store) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    first = Materialiser(store).plain(inode)
    assert first is not None
    assert store.storage.read(first.path) == DATA
    before = (store.path / first.path).stat()
    with opened(store.path) as other:
        assert Materialiser(other).plain(inode) == first
    after = (store.path / first.path).stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mtime_ns > before.st_mtime_ns
    assert plain_paths(store.path) == [store.path / first.path]


def test_a_fork_has_the_same_file(store: Store) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    fork_workspace(store, "w", None, "fork")
    with written(store, "fork") as (workspace, branch):
        put(branch, b"own", noise(300_000, "own"))
        workspace.snapshot(branch)
    assert Materialiser(store).plain(newest(store, "fork", b"f")) == Materialiser(store).plain(
        inode
    )


def test_files_that_are_parts_of_chunks_and_of_each_other(store: Store) -> None:
    """Written in pieces, over each other, in several seals: still the bytes of the file."""
    sealed(store, (b"f", DATA))
    with written(store, "w") as (workspace, branch):
        number = branch.tree.resolve(b"f")
        branch.write(number, 100_001, noise(50_000, "over"), 1)
        workspace.snapshot(branch)
    seal_everything(store)
    inode = newest(store, "w", b"f")
    wanted = DATA[:100_001] + noise(50_000, "over") + DATA[150_001:]
    assert read(store, inode) == wanted
    cut = [half for item in extent.iterate(inode.extents) for half in halves(item)]
    other = with_fields(inode, extents=b"".join(map(extent.pack, cut)))
    assert len(cut) > extent.count(inode.extents)
    assert Materialiser(store).plain(other) == Materialiser(store).plain(inode)


def halves(item: extent.Extent) -> list[extent.Extent]:
    middle = item.file_offset + item.length // 2
    return [item.cut(item.file_offset, middle), item.cut(middle, item.end)]


def test_what_is_not_sealed_or_has_holes_has_none(store: Store) -> None:
    sealed(store, (b"f", DATA))
    with written(store, "w") as (workspace, branch):
        number = branch.tree.resolve(b"f")
        branch.write(number, 0, b"not sealed", 1)
        workspace.snapshot(branch)
        assert read(store, newest(store, "w", b"f")) is None
        put(branch, b"f", DATA)
        branch.commit(Allocate(number, 4096, 8192, 3, 2))
        workspace.snapshot(branch)
    seal_everything(store)
    assert read(store, newest(store, "w", b"f")) is None
    with written(store, "w") as (workspace, branch):
        branch.write(number, len(DATA) + 4096, b"beyond the end", 3)
        workspace.snapshot(branch)
    seal_everything(store)
    assert read(store, newest(store, "w", b"f")) is None
    assert plain_paths(store.path) == []


def test_a_file_that_rotted_is_not_used_but_made_anew(store: Store, caplog) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    file = Materialiser(store).plain(inode)
    assert file is not None
    for wrong in (DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""):
        (store.path / file.path).write_bytes(wrong)
        assert read(store, inode) == DATA
        assert "other bytes" in caplog.text
        caplog.clear()


def test_damage_in_a_chunk_is_not_copied(tmp_path: Path, caplog) -> None:
    with opened(tmp_path / "store") as store:
        write_settings(store.storage, ANY_ROOM)
        (inode,) = sealed(store, (b"f", DATA))
    (pack,) = (tmp_path / "store/packs").glob("*/*.pack")
    data = bytearray(pack.read_bytes())
    data[400_000] ^= 1
    pack.write_bytes(data)
    with opened(tmp_path / "store") as store:
        assert read(store, inode) is None
        assert "no plain file" in caplog.text
        assert [path.name for path in (store.path / "plain").glob("*/*")] == ["lock"]


def test_none_is_made_or_given_out_where_the_store_does_not_want_any(store: Store) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    write_settings(store.storage, Settings(plain_bytes=0))
    assert read(store, inode) is None
    assert plain_paths(store.path) == []
    write_settings(store.storage, ANY_ROOM)
    assert read(store, inode) == DATA
    write_settings(store.storage, Settings(plain_bytes=0))
    assert read(store, inode) is None


def test_the_bound_holds_and_who_is_busy_stays(store: Store, caplog, monkeypatch) -> None:
    caplog.set_level(logging.INFO)
    first, second = sealed(store, (b"a", DATA), (b"b", noise(500_000, "b")))
    write_settings(store.storage, Settings(free_percent=None, plain_bytes=1_000_000))
    assert read(store, first) == DATA
    assert read(store, second) is None
    assert "allow" in caplog.text
    monkeypatch.setattr("pyi_fs.limits.PLAIN_BUSY_SECONDS", -1)
    assert read(store, second) == noise(500_000, "b")
    assert len(plain_paths(store.path)) == 1


def test_the_cache_of_chunks_is_left_alone(store: Store, monkeypatch) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    added = []
    monkeypatch.setattr(
        chunks._ChunkCache,  # noqa: SLF001 - what must not be called
        "add",
        lambda *arguments: added.append(arguments),
    )
    assert read(store, inode) == DATA
    assert added == []


def test_two_threads_make_one_file(store: Store) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    made, one = [], Materialiser(store)
    threads = [
        threading.Thread(target=lambda: made.append(one.plain(inode))) for _ in range(4)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 4
    assert len(set(made)) == 1
    assert None not in made
    assert len(plain_paths(store.path)) == 1


def test_settings_that_make_no_sense_are_no_error_of_a_reader(store, caplog) -> None:
    (inode,) = sealed(store, (b"f", DATA))
    (store.path / "gc.settings").write_text("{")
    assert read(store, inode) is None
    assert "gc.settings" in caplog.text


def test_a_full_disk_is_no_error_of_a_reader(store, caplog, monkeypatch) -> None:
    (inode,) = sealed(store, (b"f", DATA))

    def make(*arguments):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(PlainFiles, "make", make)
        assert read(store, inode) is None
    assert "full" in caplog.text
    assert read(store, inode) == DATA
