"""What waits in an import: bounded, complete at the end, links with all their names."""

import os
from contextlib import closing

import pytest

from pyi_fs import limits
from pyi_fs.engine.intake import Intake, Pending
from pyi_fs.engine.store import Store
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.tree import over


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def status(tmp_path):
    """Returns the status of a file with two links."""
    (tmp_path / "f").write_bytes(b"x")
    os.link(tmp_path / "f", tmp_path / "g")
    return (tmp_path / "f").stat()


def finished(store, layer, intake, root):
    intake.add_directory(Pending(ROOT_INODE, root, [(ROOT_INODE, b"")]), 0)
    intake.finish()
    tree = over(store.layers.base(layer))
    assert check(tree) == []
    return tree


def test_a_record_has_the_chunks_given_before_it_was_complete(store, tmp_path):
    layer = store.layers.new_directory()
    (tmp_path / "one").touch()
    with closing(Intake(store, layer, 7, privileged=True)) as intake:
        pending = intake.begin(InodeNumber(2), (tmp_path / "one").stat(), ROOT_INODE, b"one")
        intake.keep(pending, 0, b"aaaa")
        intake.keep(pending, 100, b"bb")
        pending.size = 102
        intake.complete(pending)
        tree = finished(store, layer, intake, tmp_path.stat())
    inode = tree.existing(InodeNumber(2))
    assert (inode.ctime_ns, inode.btime_ns, inode.size) == (7, 7, 102)
    assert len(inode.extents) == 2 * 56


def test_a_linked_file_is_written_once_with_all_names(store, tmp_path, status):
    layer = store.layers.new_directory()
    with closing(Intake(store, layer, 7, privileged=True)) as intake:
        assert not intake.link(status, ROOT_INODE, b"f")
        intake.complete(intake.begin(InodeNumber(2), status, ROOT_INODE, b"f"))
        assert intake.link(status, ROOT_INODE, b"g")
        tree = finished(store, layer, intake, tmp_path.stat())
    assert tree.existing(InodeNumber(2)).links == ((ROOT_INODE, b"g"),)


def test_a_link_beyond_the_limit_is_refused(store, tmp_path, status, monkeypatch):
    monkeypatch.setattr(limits, "LINKS_MAX", 2)
    layer = store.layers.new_directory()
    with closing(Intake(store, layer, 7, privileged=True)) as intake:
        intake.complete(intake.begin(InodeNumber(2), status, ROOT_INODE, b"f"))
        assert intake.link(status, ROOT_INODE, b"g")
        assert not intake.link(status, ROOT_INODE, b"h")
        intake.complete(intake.begin(InodeNumber(3), status, ROOT_INODE, b"h"))
        tree = finished(store, layer, intake, tmp_path.stat())
    assert [tree.existing(InodeNumber(n)).name for n in (2, 3)] == [b"f", b"h"]


def test_progress_is_told_whenever_chunks_were_put(store, tmp_path):
    (tmp_path / "one").touch()
    told: list[int] = []
    layer = store.layers.new_directory()
    with closing(
        Intake(store, layer, 7, privileged=True, progress=lambda: told.append(1))
    ) as intake:
        pending = intake.begin(InodeNumber(2), (tmp_path / "one").stat(), ROOT_INODE, b"one")
        for number in range(200):
            intake.keep(pending, number * 4, b"%04d" % number)
        pending.size = 800
        assert len(told) == 1
        intake.complete(pending)
        finished(store, layer, intake, tmp_path.stat())
    assert len(told) == 2


def test_times_that_no_inode_holds_become_the_nearest(store, tmp_path):
    """As a filesystem with a wider range gives them."""
    layer = store.layers.new_directory()
    (tmp_path / "one").touch()
    found = (tmp_path / "one").stat()
    beyond = {"st_atime_ns": limits.TIME_NS_MIN - 1, "st_mtime_ns": limits.TIME_NS_MAX + 1}
    with closing(Intake(store, layer, 7, privileged=True)) as intake:
        status = os.stat_result(tuple(found), beyond)
        intake.complete(intake.begin(InodeNumber(2), status, ROOT_INODE, b"one"))
        tree = finished(store, layer, intake, tmp_path.stat())
    inode = tree.existing(InodeNumber(2))
    assert (inode.atime_ns, inode.mtime_ns) == (limits.TIME_NS_MIN, limits.TIME_NS_MAX)
