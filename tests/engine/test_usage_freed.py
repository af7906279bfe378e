"""What removing a workspace, branch or snapshot is said to give back is given back, to the block.

A mixed store is copied for each; the prediction is held against the blocks before and after the
removal and a collection with all windows closed.
"""

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.retention import Policy
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage import StoreUsage, Usage, WorkspaceUsage, usage
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import RequestError
from pyi_fs.ids import WorkspaceName
from tests.support.engine_rig import blocks_below, noise, opened, put, written
from tests.support.garbage_rig import seal_everything, tomorrow
from tests.support.purge_rig import seal_all_snapshots

KEEP_ALL = Policy(1 << 62, ())


class Blocks(NamedTuple):
    """What is counted, and what is said not to be: each log's growth by the removal."""

    counted: int
    logs: int


def blocks(store: Store, *workspaces: str) -> Blocks:
    """Returns the disk of all layers and packs, and of the directories of some workspaces."""
    layers = sum(blocks_below(layer) for layer in (store.path / "layers").glob("*/*"))
    packs = sum(one.stat().st_blocks * 512 for one in (store.path / "packs").glob("*/*.pack"))
    found = layers + packs
    root = store.path / "workspaces"
    for name in workspaces:
        if (root / name).exists():
            found += blocks_below(root / name)
    others = [one for one in root.iterdir() if one.name not in workspaces]
    return Blocks(found, sum(blocks_below(one) for one in others))


def collect(store: Store) -> garbage.Freed:
    planned = garbage.plan(store, policy=KEEP_ALL, clock_ns=tomorrow)
    return garbage.carry_out(store, planned, clock_ns=tomorrow)


def fill(store: Store) -> None:
    """Forks, branches, restores, a base; sealed, with content roots; and unsealed after that."""
    with written(store, "a") as (workspace, branch):
        put(branch, b"same", noise(300_000, "same"))
        for index in range(4):
            put(branch, b"d/result", noise(150_000, f"result{index}"))
            put(branch, b"log", b"line\n" * (index + 1))
            workspace.snapshot(branch, name="start" if not index else None)
        start = workspace.find_snapshot("start")
        workspace.make_branch("side", start)
        side = workspace.open_branch("side")
        for index in range(3):
            put(side, b"of-side", noise(90_000, f"side{index}"))
            put(side, b"d/result", noise(150_000, f"result{index}"))
            workspace.snapshot(side, name="kept" if index == 1 else None)
        side.sync()
        put(branch, b"undone", noise(40_000, "undone"))
        workspace.restore(branch, workspace.refs.ordered()[1].id)
        put(branch, b"after", noise(50_000, "after"))
        workspace.snapshot(branch)
        workspace.make_branch("gone", branch)
        gone = workspace.open_branch("gone")
        put(gone, b"of-gone", noise(60_000, "gone"))
        gone.sync()
        workspace.drop_branch("gone")
    fork_workspace(store, "a", "start", "b")
    with written(store, "b") as (workspace, branch):
        put(branch, b"own", noise(70_000, "b"))
        put(branch, b"same-as-c", noise(120_000, "bc"))
        workspace.snapshot(branch)
    with written(store, "c") as (workspace, branch):
        put(branch, b"same-as-b", noise(120_000, "bc"))
        put(branch, b"c", noise(200_000, "c"))
        workspace.snapshot(branch)
        put(branch, b"c", b"")
        workspace.snapshot(branch)


def seal(store: Store) -> None:
    seal_everything(store)
    for name in ("a", "c"):
        seal_all_snapshots(store, name)


def go_on(store: Store) -> None:
    """A base that names chunks, more of everything, not sealed."""
    with written(store, "a") as (workspace, branch):
        position = branch.position
        branch.roll()
        put(branch, b"new", noise(80_000, "new"))
        write_base(store, branch.position.layer, position)
        workspace.snapshot(branch)
        put(branch, b"new", noise(80_000, "newer"))
        first = workspace.refs.ordered()[2].id
        workspace.restore(branch, first, b"d/result")
        workspace.snapshot(branch)


def seal_often(store: Store) -> None:
    """Each snapshot in a pack of its own, some of it in those of others."""
    for index in range(6):
        with written(store, "d") as (workspace, branch):
            put(branch, b"turn", noise(120_000, f"turn{index % 4}"))
            put(branch, b"other", noise(30_000, f"other{index // 2}"))
            workspace.snapshot(branch)
        seal_everything(store)
    seal_all_snapshots(store, "d")


def checkpoint_often(store: Store) -> None:
    """Base tables with snapshots between them, a fork that begins at one, some undone."""
    with written(store, "a") as (workspace, branch):
        for index in range(8):
            put(branch, b"many/%d" % index, noise(30_000, f"many{index}"))
            put(branch, b"turn", noise(250_000, f"turn{index}"))
            for number in range(150 if index in (5, 7) else 0):
                # A map of several blocks, which is kept for who has no table of it.
                put(branch, b"small/%d-%d" % (index, number), noise(20, f"{index} {number}"))
            if index in (2, 5):
                workspace.snapshot(branch, name=f"at{index}")
            position = branch.position
            branch.roll()
            branch.sync()
            if index % 2:
                seal_everything(store)
            write_base(store, branch.position.layer, position)
        workspace.restore(branch, "at2")
        put(branch, b"turn", noise(50_000, "other way"))
        workspace.snapshot(branch)
    fork_workspace(store, "a", "at5", "e")
    with written(store, "e") as (_, branch):
        put(branch, b"turn", noise(50_000, "of the fork"))


STATES = {
    "tables": (fill, seal, checkpoint_often),
    "tables, sealed": (fill, checkpoint_often, seal),
    "many packs": (fill, seal_often, seal, go_on),
    "scratch": (fill,),
    "sealed": (fill, seal),
    "mixed": (fill, seal, go_on),
    "sealed twice": (fill, seal, go_on, seal),
}


@pytest.fixture(params=STATES, scope="module")
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("usage") / "store"
    with opened(path) as store:
        for step in STATES[request.param]:
            step(store)
    return path


def of(found: StoreUsage, name: str) -> WorkspaceUsage:
    return next(workspace for workspace in found.workspaces if workspace.name == name)


def measured(
    template: Path, path: Path, *names: str, predicted: Callable[[StoreUsage], int], remove
) -> None:
    """Copies a store, removes something, collects; what went is what was said."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(template, path)
    with opened(path) as store:
        # What nobody needs, and what only undo does, would go in any case.
        said = usage(store)
        expected = predicted(said)
        before = blocks(store, *names)
        remove(store)
        collect(store)
        after = blocks(store, *names)
        assert before.counted - after.counted == expected
        assert 0 <= after.logs - before.logs <= 8192
        left = usage(store)
        assert left.frees_bytes == left.later_bytes == 0


def frees(held: Usage, found: StoreUsage) -> int:
    return held.frees_bytes + found.frees_bytes + found.later_bytes


def test_nothing_removed_gives_back_what_nobody_needs(template: Path, tmp_path: Path) -> None:
    measured(
        template,
        tmp_path / "store",
        predicted=lambda found: found.frees_bytes + found.later_bytes,
        remove=lambda _: None,
    )


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_workspace(template: Path, tmp_path: Path, name: str) -> None:
    """With what only its undo can come back to, which is counted as its own."""

    def predicted(found: StoreUsage) -> int:
        one = of(found, name)
        assert (one.undo.own_bytes > 60_000) == (name == "a")
        return frees(one.held, found) - one.undo.frees_bytes

    measured(
        template,
        tmp_path / "store",
        name,
        predicted=predicted,
        remove=lambda store: remove_and_collect(store, name),
    )


@pytest.mark.parametrize(("name", "branch"), [("a", "main"), ("a", "side")])
def test_a_branch(template: Path, tmp_path: Path, name: str, branch: str) -> None:
    def remove(store: Store) -> None:
        workspace = Workspace(store, WorkspaceName(name))
        workspace.drop_branch(branch)
        workspace.close()

    def predicted(found: StoreUsage) -> int:
        (ref,) = [ref for ref in of(found, name).branches if ref.name == branch]
        return frees(ref.held, found)

    measured(template, tmp_path / "store", predicted=predicted, remove=remove)


SNAPSHOTS = [*(("a", index) for index in range(8)), ("b", 0), ("c", 0)]


@pytest.mark.parametrize(("name", "index"), SNAPSHOTS)
def test_a_snapshot(template: Path, tmp_path: Path, name: str, index: int) -> None:
    measured(
        template,
        tmp_path / "store",
        predicted=lambda found: frees(of(found, name).snapshots[index].held, found),
        remove=partial(delete, name=name, index=index),
    )


def delete(store: Store, name: str, index: int) -> None:
    workspace = Workspace(store, WorkspaceName(name))
    workspace.delete_snapshot(workspace.refs.ordered()[index].id)
    workspace.close()


class Random:
    """A store at random, the same for the same seed."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)

    def step(self) -> None:
        names = [str(name) for name in self.store.workspace_names()] or ["w0"]
        name = self.random.choice(names)
        with written(self.store, name) as (workspace, branch):
            for _ in range(self.random.randrange(4)):
                size = self.random.choice([10, 5_000, 40_000, 200_000])
                seed = f"{self.random.randrange(12)}"
                put(branch, b"f%d" % self.random.randrange(5), noise(size, seed))
            snapshots = workspace.refs.ordered()
            choice = self.random.random()
            if choice < 0.5 or not snapshots:
                title = f"n{len(snapshots)}" if self.random.random() < 0.3 else None
                workspace.snapshot(branch, name=title)
            elif choice < 0.6:
                workspace.restore(branch, self.random.choice(snapshots).id)
            elif choice < 0.7:
                workspace.make_branch(f"b{self.random.randrange(10**9)}", branch)
            elif choice < 0.8:
                workspace.restore(branch, self.random.choice(snapshots).id, b"f1")
            elif choice < 0.85:
                workspace.delete_snapshot(self.random.choice(snapshots).id)
        if choice > 0.9 and len(names) < 4:
            fork_workspace(self.store, name, None, f"w{len(names)}")
        if self.random.random() < 0.3:
            seal_everything(self.store)
        if self.random.random() < 0.2:
            seal_all_snapshots(self.store, name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_snapshot_and_a_workspace_of_a_random_store(tmp_path: Path, seed: int) -> None:
    with opened(tmp_path / "template") as store:
        made = Random(store, seed)
        for _ in range(30):
            with suppress(RequestError):
                made.step()
        places = [
            (str(name), index)
            for name in store.workspace_names()
            for index in range(len(usage_of(store, name).snapshots))
        ]
        chosen = made.random.sample(places, min(3, len(places)))
        gone = made.random.choice(store.workspace_names())
    for name, index in chosen:
        measured(
            tmp_path / "template",
            tmp_path / "store",
            predicted=partial(of_snapshot, name, index),
            remove=partial(delete, name=name, index=index),
        )
    measured(
        tmp_path / "template",
        tmp_path / "store",
        gone,
        predicted=lambda found: (
            frees(of(found, gone).held, found) - of(found, gone).undo.frees_bytes
        ),
        remove=lambda store: remove_and_collect(store, gone),
    )


@pytest.mark.parametrize("name", ["at2", "at5", "e"])
def test_what_base_tables_stay_for(tmp_path: Path, name: str) -> None:
    """With a snapshot, or a fork, go the tables that only it is folded from."""
    with opened(tmp_path / "template") as store:
        for step in (fill, checkpoint_often, seal):
            step(store)
        bases = len(list((store.path / "layers").glob("*/*/base")))
        workspace = Workspace(store, WorkspaceName("a"))
        snapshots = [one.name for one in workspace.refs.ordered()]
        workspace.close()

    def predicted(found: StoreUsage) -> int:
        if name == "e":
            return frees(of(found, "e").held, found) - of(found, "e").undo.frees_bytes
        return frees(of(found, "a").snapshots[snapshots.index(name)].held, found)

    def remove(store: Store) -> None:
        if name == "e":
            remove_and_collect(store, "e")
        else:
            delete(store, "a", snapshots.index(name))

    measured(
        tmp_path / "template",
        tmp_path / "store",
        *(["e"] if name == "e" else []),
        predicted=predicted,
        remove=remove,
    )
    assert len(list((tmp_path / "store" / "layers").glob("*/*/base"))) < bases - 1


@pytest.mark.parametrize("index", range(6))
def test_a_snapshot_whose_chunks_are_in_packs_of_their_own(tmp_path: Path, index: int) -> None:
    """Packs go, and are written anew into others."""
    with opened(tmp_path / "template") as store:
        seal_often(store)
        packs = {one.name for one in (store.path / "packs").glob("*/*.pack")}
        assert len(packs) >= 6
    measured(
        tmp_path / "template",
        tmp_path / "store",
        predicted=lambda found: frees(of(found, "d").snapshots[index].held, found),
        remove=partial(delete, name="d", index=index),
    )


def of_snapshot(name: str, index: int, found: StoreUsage) -> int:
    return frees(of(found, name).snapshots[index].held, found)


def usage_of(store: Store, name: str) -> WorkspaceUsage:
    return of(usage(store), name)


def test_own_shared_and_unneeded_are_all_there_is(template: Path) -> None:
    """Each chunk and layer is somebody's own, or shared by at least two, or nobody's."""
    with opened(template) as store:
        found = usage(store)
        own = sum(one.held.own_bytes for one in found.workspaces)
        shared = [one.held.shared_bytes for one in found.workspaces]
        whole = found.layer_bytes - found.unneeded_layer_bytes + found.chunk_bytes
        assert own + max(shared) <= whole <= own + sum(shared) / 2
        assert all(one.held.frees_bytes >= 0 for one in found.workspaces)
