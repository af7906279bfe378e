"""After a purge no byte of a file is left in a store, and every other file is what it was."""

import stat
from pathlib import Path

import pytest
from blake3 import blake3
from xxhash import xxh3_64_intdigest

from pyi_fs.engine import garbage
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.purge import plan
from pyi_fs.engine.purge_execution import carry_out
from pyi_fs.engine.store import Store
from pyi_fs.errors import BusyError
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ROOT_INODE, WorkspaceName
from pyi_fs.model.mutation import Create, Link, Remove, Rename, SetXattr, Share
from pyi_fs.model.operation import Purge
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import list_packs, read_pack_index
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import seal_everything, tomorrow
from tests.support.plain_rig import materialised, newest, plain_paths
from tests.support.purge_rig import (
    SECRET,
    comparable,
    pictures,
    places,
    purge,
    roots_are_right,
    seal_all_snapshots,
    without,
)


def sound(store: Store) -> bool:
    findings = check_store(store, verify_data=True)
    return roots_are_right(store) and not [one for one in findings if one.severity != "note"]


def fill(store: Store) -> None:
    """A secret with a history: written over, moved, linked, removed, forked, restored."""
    with written(store, "job") as (workspace, branch):
        put(branch, b"keep", noise(150_000, "keep"))
        number = put(branch, b"conf/.env", b"KEY=" + SECRET)
        workspace.snapshot(branch, name="first")
        branch.write(number, 4, noise(90_000, "tail") + SECRET, 1)
        put(branch, b"keep2", noise(20_000, "keep2"))
        workspace.snapshot(branch)
        conf = branch.tree.resolve(b"conf")
        branch.commit(Rename(conf, b".env", ROOT_INODE, b"env.old", 0, 2))
        branch.commit(Link(number, conf, b"linked", 3))
        workspace.snapshot(branch)
        for name in (b"env.old", b"linked"):
            branch.commit(Remove(ROOT_INODE if name == b"env.old" else conf, name, False, 4))
        put(branch, b"conf/.env", b"KEY=none")
        workspace.snapshot(branch)
        workspace.restore(branch, "first")
        put(branch, b"keep3", b"after the restore")


def is_env(_: str, path: bytes) -> bool:
    return path in (b"conf/.env", b"env.old", b"conf/linked")


@pytest.mark.parametrize("is_sealed", [False, True], ids=["scratch", "sealed"])
def test_no_byte_of_it_is_left_and_all_else_is_as_it_was(tmp_path: Path, is_sealed: bool) -> None:
    with opened(tmp_path / "store") as store:
        fill(store)
        if is_sealed:
            seal_everything(store)
            seal_all_snapshots(store, "job")
        before = pictures(store)
        assert places(store, SECRET)
        done = purge(store, "job", b"conf/.env")
        assert done.notes == ()
        assert done.journals
        assert bool(done.segments) != is_sealed
    with opened(tmp_path / "store") as store:
        assert places(store, SECRET) == []
        assert comparable(pictures(store)) == comparable(without(before, is_env))
        assert sound(store)
        assert plan(store, "job", [b"conf/.env"]).is_done


def test_what_would_let_somebody_guess_is_gone_too(tmp_path: Path) -> None:
    """Checksums of runs, ids of chunks and of tree objects that name them."""
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            put(branch, b"conf/.env", SECRET)
            put(branch, b"conf/other", b"x")
            workspace.snapshot(branch)
        checksum = xxh3_64_intdigest(SECRET).to_bytes(8, "little")
        assert places(store, checksum)
        seal_everything(store)
        seal_all_snapshots(store, "job")
        guesses = {one.chunk for one in _entries(store)}
        for guess in (checksum, blake3(SECRET).digest()):
            assert places(store, guess)
        purge(store, "job", b"conf/.env")
        assert places(store, checksum) == []
        assert blake3(SECRET).digest() in guesses
        left = {one.chunk for one in _entries(store)}
        # The root's id stays in the log, as 32 bytes that name nothing.
        found = {name for guess in guesses - left for name in places(store, guess)}
        assert found <= {"workspaces/job/log"}


def _entries(store: Store) -> list[PackEntry]:
    return [
        entry
        for pack in list_packs(store.storage)
        for entry in read_pack_index(store.storage, pack)
    ]


def test_forks_and_parents_have_the_same_file(tmp_path: Path) -> None:
    """A fork that has written to it and moved it; and one whose own file has the same number."""
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (_, branch):
            put(branch, b"env", SECRET + b" of the parent")
        for name in ("fork", "sibling"):
            fork_workspace(store, "parent", None, name)
        with written(store, "fork") as (workspace, branch):
            number = branch.tree.resolve(b"env")
            branch.write(number, 0, SECRET + b" of the fork", 1)
            branch.commit(Rename(ROOT_INODE, b"env", ROOT_INODE, b"moved", 0, 2))
            mine = put(branch, b"mine", b"of the fork alone")
            workspace.snapshot(branch)
        with written(store, "sibling") as (_, branch):
            theirs = put(branch, b"theirs", SECRET + b", but another file")
        assert mine == theirs
        before = pictures(store)
        planned = plan(store, "fork", [b"mine"])
        assert planned.touched == ("fork",)
        planned = plan(store, "fork", [b"moved"])
        assert planned.touched == ("fork", "parent", "sibling")
        purge(store, "fork", b"moved")
        expected = without(before, lambda _, path: path in (b"env", b"moved"))
        assert comparable(pictures(store)) == comparable(expected)
        assert len(places(store, SECRET)) == 1
        purge(store, "sibling", b"theirs")
        assert places(store, SECRET) == []
        assert sound(store)


def test_a_base_table_loses_it(tmp_path: Path) -> None:
    """Written as chunks into a base; attributes and targets of links stand in it as well."""
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            number = put(branch, b"d/env", SECRET + noise(300_000, "long"))
            branch.commit(SetXattr(number, b"user.note", SECRET, 1))
            branch.commit(SetXattr(number, b"security.kept", b"of the kernel", 1))
            directory = branch.tree.resolve(b"d")
            link = branch.next_inode()
            mode = stat.S_IFLNK | 0o777
            branch.commit(Create(directory, b"link", link, mode, 0, 0, 2, SECRET))
            put(branch, b"keep", noise(100_000, "keep"))
            workspace.snapshot(branch)
            branch.sync()
        seal_everything(store)
        seal_all_snapshots(store, "job")
        _checkpoint(store, "job")
        before = pictures(store)
        done = purge(store, "job", b"d")
        assert (done.tables, done.notes) == (1, ())
    with opened(tmp_path / "store") as store:
        assert places(store, SECRET) == []
        found = {key: tree for key, tree in pictures(store).items() if tree}
        assert len(found) >= 2
        for key, tree in found.items():
            assert tree[b"keep"].data == before[key][b"keep"].data
            env = tree[b"d/env"]
            assert env.data == bytes(len(SECRET) + 300_000)
            assert env.inode.xattr(b"user.note") == bytes(len(SECRET))
            assert env.inode.xattr(b"security.kept") == b"of the kernel"
            assert tree[b"d/link"].inode.target == b"-" * len(SECRET)
        assert sound(store)


def test_where_base_tables_were_removed(tmp_path: Path) -> None:
    """Older ones had named the chunks of what the file held then, maps have them no more."""
    with opened(tmp_path / "store") as store:
        for number in range(6):
            with written(store, "job") as (workspace, branch):
                put(branch, b"env", SECRET + noise(100_000, f"env{number}"))
                put(branch, b"keep%d" % number, noise(60_000, f"keep{number}"))
                if number == 2:
                    workspace.snapshot(branch, name="middle")
            seal_everything(store)
            _checkpoint(store, "job")
        planned = garbage.plan(store, clock_ns=tomorrow)
        assert garbage.carry_out(store, planned, clock_ns=tomorrow).tables == 2
        before = pictures(store)
        done = purge(store, "job", b"env")
        assert (done.tables, done.notes) == (4, ())
    with opened(tmp_path / "store") as store:
        assert places(store, SECRET) == []
        found = pictures(store)
        assert found.keys() == before.keys()
        for key, tree in found.items():
            for path in tree.keys() - {b"env"}:
                assert tree[path].data == before[key][path].data
            if b"env" in tree:
                assert tree[b"env"].data == bytes(len(SECRET) + 100_000)
        assert sound(store)


def _checkpoint(store: Store, name: str) -> None:
    """Rolls the branch to a new layer that has a base."""
    with written(store, name) as (_, branch):
        position = branch.position
        branch.roll()
        put(branch, b"later", b"in the new layer")
        write_base(store, branch.position.layer, position)


def test_what_another_file_has_too_stays_and_is_said(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            number = put(branch, b"env", SECRET * 3)
            copy = put(branch, b"copy", b"own words")
            extents = branch.tree.existing(number).extents
            branch.commit(Share(copy, 9, len(SECRET) * 3, extents, 1))
            workspace.snapshot(branch)
        seal_all_snapshots(store, "job")
        before = pictures(store)
        planned = plan(store, "job", [b"env"])
        assert planned.shared == (("job:copy", len(SECRET) * 3),)
        assert not planned.segments
        carry_out(store, planned)
        assert comparable(pictures(store)) == comparable(before)
        purge(store, "job", b"env", everywhere=True)
        assert places(store, SECRET) == []
        for tree in filter(None, pictures(store).values()):
            assert tree[b"env"].data == bytes(len(SECRET) * 3)
            assert tree[b"copy"].data == b"own words" + bytes(len(SECRET) * 3)
        assert sound(store)


def test_a_chunk_that_another_workspace_has_too(tmp_path: Path) -> None:
    """Deduplicated: it stays for both, `everywhere` takes it from both, all else stays."""
    content = SECRET + noise(400_000, "same")
    with opened(tmp_path / "store") as store:
        for name in ("a", "b"):
            with written(store, name) as (workspace, branch):
                put(branch, b"same", content)
                put(branch, b"own", noise(50_000, name))
                workspace.snapshot(branch)
        seal_everything(store)
        for name in ("a", "b"):
            seal_all_snapshots(store, name)
        before = pictures(store)
        planned = plan(store, "a", [b"same"])
        assert {text for text, _ in planned.shared} >= {"b:same"}
        assert planned.touched == ("a",)
        carry_out(store, planned)
        assert comparable(pictures(store)) == comparable(before)
        done = purge(store, "a", b"same", everywhere=True)
        assert done.notes == ()
        assert places(store, SECRET) == []
        expected = without(before, lambda _, path: path == b"same")
        assert comparable(pictures(store)) == comparable(expected)
        assert sound(store)


def test_chunks_that_nothing_names_go_too(tmp_path: Path) -> None:
    """What a collection left in a pack that is mostly wanted."""
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            put(branch, b"env", b"empty")
            put(branch, b"keep", noise(100_000, "keep"))
            workspace.snapshot(branch)
        store.chunks.put(SECRET)
        store.chunks.put(noise(5000))
        store.chunks.flush()
        assert places(store, SECRET)
        purge(store, "job", b"env")
        assert places(store, SECRET) == []
        assert sound(store)


def test_what_a_failed_write_left_in_a_segment_goes_too(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", SECRET)
            segment = store.layers.segments(branch.position.layer)[0]
        file = store.storage.open_append(layout.scratch(segment))
        file.append(b"nobody's: " + SECRET)
        file.close()
        purge(store, "job", b"env")
        assert places(store, SECRET) == []
        assert sound(store)


def test_it_is_an_operation_of_every_workspace_it_touched(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", SECRET)
        fork_workspace(store, "job", None, "fork")
        with written(store, "else") as (_, branch):
            put(branch, b"env", b"another")
        purge(store, "job", b"./env/")
        for name, count in (("job", 1), ("fork", 1), ("else", 0)):
            found = _purges(store, name)
            assert len(found) == count
            assert all((one.source, one.paths) == ("job", (b"env",)) for one in found)


def _purges(store: Store, name: str) -> list[Purge]:
    log = OperationsLog(store.storage, WorkspaceName(name))
    try:
        return [one for _, one in log.operations() if isinstance(one, Purge)]
    finally:
        log.close()


def test_history_goes_on_after_it(tmp_path: Path) -> None:
    """Restore, undo, more writing, the next purge: positions are what they were."""
    with opened(tmp_path / "store") as store:
        fill(store)
        purge(store, "job", b"conf/.env")
        with written(store, "job") as (workspace, branch):
            workspace.undo(branch)
            workspace.restore(branch, "first")
            put(branch, b"conf/.env", SECRET)
            workspace.snapshot(branch)
        assert places(store, SECRET)
        purge(store, "job", b"conf/.env")
        assert places(store, SECRET) == []
        assert sound(store)


def test_one_in_use_is_refused_naming_the_holder(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", SECRET)
        fork_workspace(store, "job", None, "fork")
        planned = plan(store, "job", [b"env"])
        refusal = pytest.raises(BusyError, match=r"branch 'main' of 'fork' is in use: a test")
        with opened(tmp_path / "store") as other, written(other, "fork"), refusal:
            carry_out(store, planned)
        with store.chunks.in_use(), pytest.raises(BusyError, match="sealing or importing"):
            carry_out(store, planned)
        assert places(store, SECRET)
        carry_out(store, planned)
        assert places(store, SECRET) == []


def test_an_unrelated_workspace_in_use_is_none_of_its_business(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", SECRET)
        with opened(tmp_path / "store") as other, written(other, "else") as (_, branch):
            put(branch, b"f", b"before")
            purge(store, "job", b"env")
            put(branch, b"f", b"after")
            assert contents(branch) == {b"f": b"after"}
        assert places(store, SECRET) == []
        assert sound(store)


def test_plain_files_go_with_the_bytes_in_them(tmp_path: Path) -> None:
    """All of them: one of an unrelated workspace is a copy of something, too."""
    with opened(tmp_path / "store") as store:
        with written(store, "w") as (workspace, branch):
            put(branch, b"env", SECRET + noise(300_000, "env"))
            put(branch, b"keep", noise(300_000, "keep"))
            workspace.snapshot(branch)
        seal_everything(store)
        for name in (b"env", b"keep"):
            materialised(store, newest(store, "w", name))
        assert any(name.startswith("plain/") for name in places(store, SECRET))
        assert purge(store, "w", b"env").notes == ()
        assert plain_paths(store.path) == []
        assert places(store, SECRET) == []
        # What is made from now on has zeros.
        made = materialised(store, newest(store, "w", b"env"))
        assert store.storage.read(made.path) == bytes(len(SECRET) + 300_000)
        assert sound(store)
