"""Every tree that is promised is folded and looked at."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.history import History, Step
from pyi_fs.engine.soundness import Soundness
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.format.table import ENTRY
from pyi_fs.format.table_writer import encode_table
from pyi_fs.ids import ROOT_INODE, InodeNumber, WorkspaceName
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import with_fields
from pyi_fs.model.mutation import Graft, Rename, SetAttributes
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout
from tests.support.damage import damage_scratch, errors
from tests.support.engine_rig import noise, opened, put, written
from tests.support.tables import resigned


def test_a_lost_layer_names_the_refs_that_need_it(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            layer = branch.position.layer
            snapshot = workspace.snapshot(branch, name="kept").snapshot
        subprocess.run(["rm", "-r", store.path / f"layers/{layer >> 32:02x}"], check=True)
        found = errors(check_store(store, verify_data=False))
        assert {f"a@{snapshot.id}", "a/main"} <= {ref for one in found for ref in one.refs}


def forged_base(store: Store, branch: Branch, tree: Tree, old: bytes = b"", new: bytes = b""):
    """Rolls a branch and gives its new layer a base that holds another tree, checksums right."""
    branch.roll()
    branch.sync()
    data = b"".join(encode_table(tree)).replace(old, new)
    store.storage.write_atomic(layout.base(branch.position.layer), [resigned(data)])


def test_a_broken_tree_names_the_file_and_the_refs(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            number = put(branch, b"f", b"x")
            broken = with_fields(branch.tree.existing(number), nlink=7)
            forged_base(store, branch, apply(branch.tree, Graft(((number, broken),), ())))
            put(branch, b"g", b"x")
            taken = workspace.snapshot(branch).snapshot
        (finding,) = check_store(store, verify_data=False)
        assert finding.kind == "tree"
        assert finding.message.startswith("files_count_their_dentries: inode ")
        assert finding.paths == (b"f",)
        assert set(finding.refs) == {f"a@{taken.id}", "a/main"}


def test_a_dentry_of_nothing_is_found(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            number = put(branch, b"f", b"x")
            entry, ghost = (ENTRY.pack(ROOT_INODE, n, 1) + b"f" for n in (number, 99))
            forged_base(store, branch, branch.tree, entry, ghost)
        assert {one.kind for one in errors(check_store(store, verify_data=False))} == {"tree"}


def test_a_record_that_no_writer_makes_is_found(tmp_path: Path):
    """A name of nothing, put into the journal: its fold ends there, and that is told."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
            branch.commit(Graft((), ((ROOT_INODE, b"ghost", InodeNumber(99)),)))
        (finding,) = errors(check_store(store, verify_data=False))
        assert finding.kind == "fold"
        assert "b'ghost' points at 99" in finding.message


def test_what_is_superseded_while_it_is_looked_at_is_not_missed(tmp_path: Path):
    """The writer gives back bytes of the tree that the check has folded, before it reads them."""
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(4 << 20, "first"))
            put(branch, b"g", noise(10_000))
        workspace = Workspace(store, WorkspaceName("a"))
        branch = workspace.open_branch("main")
        put(branch, b"f", noise(4 << 20, "second"))
        branch.sync()
        done: list[int] = []

        def overwrite(name: str) -> None:
            # Packs and bases are looked at after the journals were read, and before trees are
            # folded.
            if not done and name.endswith("/scratch-000001"):
                put(branch, b"f", noise(100))
                branch.sync()
                branch.reclaim()
                assert branch.writer is not None
                done.append(branch.writer.scratch.returned_bytes)

        assert check_store(other, verify_data=True, progress=overwrite) == []
        assert done[0] >= 4 << 20
        workspace.close()


def test_what_is_lost_in_the_present_is_found(tmp_path: Path):
    """The second look must not excuse it."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(9_000))
            (segment,) = store.layers.segments(branch.position.layer)
        (store.path / layout.scratch(segment)).unlink()
        (finding,) = check_store(store, verify_data=True)
        assert finding.refs == ("a/main",)


def _every_root_looked_at_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a check look at all of each tree, as if nothing were known of the one before."""
    steps = History.steps

    def unknown(*arguments: Any) -> Iterator[Step]:
        return (step._replace(changed=None) for step in steps(*arguments))

    monkeypatch.setattr(History, "steps", unknown)
    monkeypatch.setattr(Soundness, "_is_still_sound", lambda *_: False)


def test_damage_between_snapshots_names_the_same_files_and_refs_as_a_look_at_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Bytes that only some snapshots have, under names that change, and those that all have."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            forged_base(store, branch, branch.tree)
            put(branch, b"d/always", noise(20_000, "always"))
            taken = []
            for number in range(8):
                put(branch, b"d/%d" % number, noise(9_000, f"{number}"))
                if number in (3, 6):
                    put(branch, b"d/1", noise(9_000, f"again {number}"))
                if number == 4:
                    branch.commit(Rename(ROOT_INODE, b"d", ROOT_INODE, b"moved", 0, 4))
                    put(branch, b"d/other", noise(100))
                taken.append(workspace.snapshot(branch).snapshot)
            (segment,) = store.layers.segments(branch.position.layer)
        for place in (100, 30_500, 48_000, 75_000):
            damage_scratch(store, segment, place)
        found = check_store(store, verify_data=True)
        with monkeypatch.context() as patch:
            _every_root_looked_at_whole(patch)
            assert found == check_store(store, verify_data=True)
        assert len(found) == 4
        everywhere = found[0]
        assert everywhere.paths == (b"d/always", b"moved/always")
        assert everywhere.refs == (*(f"a@{one.id}" for one in taken), "a/main")
        assert any(len(one.refs) < len(taken) for one in found)


def test_a_broken_tree_that_is_mended_is_named_by_the_roots_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            number = put(branch, b"f", b"x")
            broken = with_fields(branch.tree.existing(number), xattrs=((b"b", b""), (b"a", b"")))
            taken = [workspace.snapshot(branch).snapshot]
            for change in (
                Graft(((number, broken),), ()),
                SetAttributes(number, None, None, None, 0, None, None, 9),
                Graft(((number, with_fields(broken, xattrs=())),), ()),
            ):
                branch.commit(change)
                put(branch, b"g", b"x")
                taken.append(workspace.snapshot(branch).snapshot)
        found = check_store(store, verify_data=True)
        with monkeypatch.context() as patch:
            _every_root_looked_at_whole(patch)
            assert found == check_store(store, verify_data=True)
        (finding,) = found
        assert finding.message.startswith("xattrs_are_sorted: ")
        assert finding.refs == tuple(f"a@{one.id}" for one in taken[1:3])
