"""Who holds which positions: together they are the roots, each by its name."""

from pathlib import Path

from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.holders import Held, Holder, holders_of
from pyi_fs.engine.roots import positions_of
from pyi_fs.engine.store import Store
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.model.refs import Refs
from pyi_fs.store.oplog import OperationsLog
from tests.support.engine_rig import opened, put, written

A = WorkspaceName("a")


def filled(store: Store) -> None:
    with written(store, "a") as (workspace, branch):
        put(branch, b"f", b"1")
        workspace.snapshot(branch, name="named")
        put(branch, b"f", b"2")
        workspace.snapshot(branch)
        workspace.make_branch("side", branch)
        side = workspace.open_branch("side")
        put(side, b"f", b"3")
        workspace.snapshot(side)
        workspace.snapshot(side, name="kept")
        put(side, b"f", b"4")
        workspace.snapshot(side)
        workspace.make_branch("gone", branch)
        gone = workspace.open_branch("gone")
        put(gone, b"f", b"5")
        gone.sync()
        workspace.drop_branch("gone")
        branch.sync()
        side.sync()
    fork_workspace(store, "a", "named", "b")


def one(held: Held, *, branch: str | None = None, number: int = 0) -> tuple[int, Holder]:
    """Returns a branch of `a`, or one of its snapshots, with its bit."""
    found = [(bit, holder) for bit, holder in enumerate(held.holders) if holder.workspace == A]
    if branch is not None:
        (wanted,) = [(bit, holder) for bit, holder in found if holder.branch == branch]
        return 1 << wanted[0], wanted[1]
    snapshots = [(1 << bit, holder) for bit, holder in found if holder.snapshot is not None]
    return snapshots[number]


def test_together_they_are_the_roots(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        filled(store)
        held = holders_of(store)
        for name in ("a", "b"):
            workspace = WorkspaceName(name)
            mine = [one for one in held.holders if one.workspace == workspace]
            together = set().union(*(one.positions for one in mine))
            assert together == set(positions_of(store, workspace))
            assert held.of(workspace) == sum(
                1 << bit for bit, one in enumerate(held.holders) if one in mine
            )


def test_what_only_undo_holds_is_apart(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        filled(store)
        held = holders_of(store)
        (undo,) = [one for one in held.holders if one.is_undo and one.workspace == A]
        others = set().union(*(one.positions for one in held.holders if not one.is_undo))
        assert undo.positions
        assert not undo.positions & others
        assert held.undo() & held.of(A)
        # Dropped: what it held is undo's.
        assert not [one for one in held.holders if one.branch == "gone"]


def test_a_branch_takes_its_unnamed_snapshots_along(tmp_path: Path) -> None:
    """But not the named one; and nothing of another branch."""
    with opened(tmp_path / "store") as store:
        filled(store)
        held = holders_of(store)
        refs = _refs(store)
        side, _ = one(held, branch="side")
        unnamed = {id_ for id_, one in refs.snapshots.items() if one.branch == "side"}
        unnamed -= {id_ for id_ in unnamed if refs.snapshots[id_].name}
        bits = {one.snapshot: 1 << bit for bit, one in enumerate(held.holders)}
        assert len(unnamed) == 1
        expected = side | sum(bits[id_] for id_ in unnamed)
        assert held.with_branch[A, BranchName("side")] == expected


def _refs(store: Store) -> Refs:
    log = OperationsLog(store.storage, A)
    log.close()
    return log.refs


def test_who_holds_a_place_is_told_by_layer(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        filled(store)
        held = holders_of(store)
        bit, snapshot = one(held, number=0)
        (position,) = snapshot.positions
        together = held.by_position()[position.layer][position.offset]
        assert together & bit
        # The fork begins there as well.
        assert together & held.of(WorkspaceName("b"))
