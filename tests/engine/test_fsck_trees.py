"""Every tree that is promised is folded and looked at."""

import subprocess
from pathlib import Path

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.format.table import ENTRY
from pyi_fs.format.table_writer import encode_table
from pyi_fs.ids import ROOT_INODE, InodeNumber, WorkspaceName
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import with_fields
from pyi_fs.model.mutation import Graft
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout
from tests.support.damage import errors
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
