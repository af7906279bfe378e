"""What is sealed reads as it was written, in whatever versions and order it came."""

import random
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.seal_regions import Kept, moved, regions
from pyi_fs.engine.sealing import resolved, seal
from pyi_fs.engine.store import Store
from pyi_fs.ids import ROOT_INODE, LayerId, SegmentId, SnapshotId, WorkspaceName, segment_id
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.mutation import Remove, Rename, SetAttributes, Share
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import collect, seal_everything
from tests.support.purge_rig import roots_are_right

ONE, TWO = segment_id(LayerId(1), 0), segment_id(LayerId(1), 1)
CHUNK = b"c" * 32


def scratch(offset: int, length: int, segment: SegmentId, start: int) -> Extent:
    return Extent(offset, length, extent.SCRATCH, extent.scratch_source(segment), start)


def test_a_region_is_what_lies_side_by_side_and_is_not_in_a_map() -> None:
    extents = extent.from_extents(
        [
            scratch(0, 10, ONE, 100),
            scratch(10, 5, TWO, 0),
            Extent(15, 5, extent.CHUNK, CHUNK, 0),
            scratch(20, 30, ONE, 200),
            scratch(60, 5, ONE, 0),
        ]
    )
    known = extent.from_extents([Extent(210, 5, extent.CHUNK, CHUNK, 0)])
    found = list(regions(extents, {ONE: Kept(known), TWO: Kept()}))
    assert found == [
        [scratch(0, 10, ONE, 100), scratch(10, 5, TWO, 0)],
        [scratch(20, 10, ONE, 200)],
        [scratch(35, 15, ONE, 215)],
        [scratch(60, 5, ONE, 0)],
    ]
    assert list(regions(extents, {TWO: Kept()})) == [[scratch(10, 5, TWO, 0)]]


def test_pieces_of_a_map_move_to_where_the_file_has_them() -> None:
    pieces = extent.from_extents([Extent(0, 50, extent.CHUNK, CHUNK, 7)])
    assert moved(scratch(1_000, 10, ONE, 20), pieces) == [
        Extent(1_000, 10, extent.CHUNK, CHUNK, 27)
    ]


class _Files:
    """Files that are written anew, edited, shared and renamed, and what they should be."""

    def __init__(self, branch: Branch, choice: random.Random) -> None:
        self.branch, self.choice = branch, choice
        self.expected: dict[bytes, bytes] = {}

    def step(self, index: int) -> None:
        choice, branch = self.choice, self.branch
        name = choice.choice((b"a", b"b", b"c"))
        old = self.expected.get(name, b"")
        place = choice.randrange(len(old) + 1)
        fresh = noise(choice.choice((1, 40, 3_000, 80_000)), f"{index}")
        what = choice.choice(("anew", "anew", "anew", "insert", "in place", "cut", "share", "move"))
        if what == "anew" and not old:
            new = noise(choice.choice((10_000, 100_000, 400_000)), f"new {index}")
        elif what == "anew":
            new = old[:place] + fresh + old[place + choice.choice((0, 40, 3_000)) :]
        elif what == "insert":
            new = fresh + old
        else:
            self._change(what, name, old, place, fresh)
            return
        put(branch, name, new)
        self.expected[name] = new

    def _change(self, what: str, name: bytes, old: bytes, place: int, fresh: bytes) -> None:
        branch = self.branch
        if not old:
            return
        number = branch.tree.resolve(name)
        if what == "in place":
            branch.write(number, place, fresh, 1)
            self.expected[name] = old[:place] + fresh + old[place + len(fresh) :]
        elif what == "cut":
            branch.commit(SetAttributes(number, None, None, None, place, None, None, 1))
            self.expected[name] = old[:place]
        elif what == "share" and place:
            other = put(branch, b"shared", b"beginning")
            extents = extent.from_extents(
                extent.overlapping(branch.tree.existing(number).extents, 0, place)
            )
            branch.commit(Share(other, 9, place, extents, 1))
            self.expected[b"shared"] = b"beginning" + old[:place]
        elif what == "move":
            branch.commit(Rename(ROOT_INODE, name, ROOT_INODE, b"moved", 0, 1))
            self.expected[b"moved"] = self.expected.pop(name)


@pytest.mark.parametrize("seed", range(12))
def test_versions_of_files_read_back_in_every_snapshot(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    pictures: dict[SnapshotId, dict[bytes, bytes]] = {}
    expected: dict[bytes, bytes] = {}
    with opened(tmp_path / "store") as store:
        for life in range(4):
            with written(store, "a") as (workspace, branch):
                files = _Files(branch, choice)
                files.expected = expected
                for step in range(8):
                    files.step(life * 100 + step)
                    if choice.random() < 0.6:
                        taken = workspace.snapshot(branch, name=f"s{life}-{step}").snapshot.id
                        pictures[taken] = dict(files.expected)
                segments = store.layers.segments(branch.position.layer)
            if choice.random() < 0.7:
                seal(store, choice.sample(segments, max(len(segments) - choice.randrange(2), 1)))
            seal_snapshots(store, WorkspaceName("a"), list(pictures))
        seal_everything(store)
        assert_shown(store, pictures, expected)
        with written(store, "a") as (workspace, _):
            for gone in choice.sample(sorted(pictures), len(pictures) // 2):
                workspace.delete_snapshot(gone)
                del pictures[gone]
        collect(store)
        assert_shown(store, pictures, expected)


def assert_shown(
    store: Store, pictures: dict[SnapshotId, dict[bytes, bytes]], now: dict[bytes, bytes]
) -> None:
    with written(store, "a") as (workspace, branch):
        for name, data in now.items():
            assert branch.read(branch.tree.resolve(name), 0, len(data) + 1) == data
        for taken, files in pictures.items():
            tree = workspace.snapshot_tree(workspace.find_snapshot(taken))
            for name, data in files.items():
                assert workspace.reader.read_all(tree.existing(tree.resolve(name))) == data
    assert check_store(store, verify_data=True) == []
    assert roots_are_right(store)


def test_a_file_of_another_workspace_with_the_same_number_does_no_harm(tmp_path: Path) -> None:
    data = noise(200_000)
    with opened(tmp_path / "store") as store:
        for name, content in (("a", data), ("b", noise(190_000, "b")), ("c", b"new" + data)):
            with written(store, name) as (workspace, branch):
                put(branch, b"f", content)
                workspace.snapshot(branch)
        seal_everything(store)
        for name, content in (("a", data), ("b", noise(190_000, "b")), ("c", b"new" + data)):
            with written(store, name) as (_, branch):
                assert branch.read(branch.tree.resolve(b"f"), 0, 999_999) == content
        assert check_store(store, verify_data=True) == []


def test_an_old_version_that_nobody_can_come_back_to_is_no_version(tmp_path: Path) -> None:
    """What no root reaches is in no chunk, so a part of it cannot be named."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", noise(100_000))
            put(branch, b"f", b"x" + noise(100_000))
            workspace.snapshot(branch)
            branch.commit(Remove(ROOT_INODE, b"f", False, 1))
        seal_everything(store)
        with written(store, "a") as (workspace, _):
            tree = workspace.snapshot_tree(workspace.refs.ordered()[0])
            inode = tree.existing(tree.resolve(b"f"))
            pieces = list(extent.iterate(resolved(store, inode.extents)))
            assert all(piece.source_offset == 0 for piece in pieces)
            assert all(piece.length >= limits.PATCHED_BYTES_MIN for piece in pieces[:-1])
            assert workspace.reader.read_all(inode) == b"x" + noise(100_000)
