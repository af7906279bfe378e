"""Every kind of mutation and operation stands in a scenario that is stopped before each call.

The scenario here has the kinds that the others do not: adopted orphans, files without a name,
content roots, pins, a switch of the head, and a fork, whose own log is judged, too.
"""

from typing import get_args

import pytest

from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.garbage import pin
from pyi_fs.engine.references import all_layers
from pyi_fs.ids import BranchName, InodeNumber, WorkspaceName
from pyi_fs.model import mutation, operation
from pyi_fs.model.mutation import Reap
from pyi_fs.store.oplog import has_operations
from pyi_fs.store.storage import Storage
from tests.crash.test_every_write import (
    CHECKPOINT,
    RECLAIM,
    SCENARIOS,
    SNAPSHOT,
    SYNC,
    make,
    make_branch,
    named,
    restore,
    small_limits,
    write,
)
from tests.support.crashes import (
    RecordingStorage,
    State,
    Step,
    judge_kill,
    judge_power_loss,
    recorded,
)
from tests.support.workspaces import NAME, Boot, IndexShelf, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow]
__all__ = ["small_limits"]
FORK = WorkspaceName("fork")


class _Holder:
    """A mount in which somebody has a file open."""

    def __init__(self, number: InodeNumber) -> None:
        self._number = number

    def orphans(self, branch, old, new, touched) -> list[InodeNumber]:
        return [self._number]

    def published(self, branch, old, new, touched, adopted) -> None:
        """Tells no kernel."""


def hold(rig: Rig) -> None:
    rig.main.listener = _Holder(rig.number("a"))


def let_go(rig: Rig) -> None:
    rig.main.listener = None


def roots(rig: Rig) -> None:
    seal_snapshots(rig.store, NAME, [rig.workspace.find_snapshot("first").id])
    rig.workspace.refresh()


KINDS: list[Step] = [
    make("a"),
    write("a", 1, 9000),
    SYNC,
    named("first"),
    ("pin", lambda rig: pin(rig.store, NAME, "first")),
    ("seal", Rig.seal_all),
    ("roots", roots),
    write("a", 2, 9000),
    ("hold", hold),
    restore("first"),
    write("a", 3, 5000),
    ("let go", let_go),
    RECLAIM,
    SYNC,
    make("temporary"),
    write("temporary", 7, 5000),
    ("unlink", lambda rig: rig.remove("temporary")),
    ("reap", lambda rig: rig.commit(Reap(tuple(rig.main.tree.unlinked)))),
    SNAPSHOT,
    named("second"),
    SYNC,
    ("unpin", lambda rig: pin(rig.store, NAME, "first", pinned=False)),
    make_branch("side"),
    ("head", lambda rig: rig.workspace.switch_head(BranchName("main"), BranchName("side"))),
    write("a", 4, 9000),
    ("fork", lambda rig: fork_workspace(rig.store, NAME, None, FORK)),
    write("a", 5, 9000),
    RECLAIM,
    ("fork's end", lambda rig: rig.workspace.snapshot(rig.main)),
    CHECKPOINT,
    write("a", 6, 9000),
    SYNC,
]
FORKED = next(index for index, (name, _) in enumerate(KINDS) if name == "fork")

ELSEWHERE = {
    operation.Void: "a power loss makes it: below",
    operation.CloseUndo: "a collection makes it: test_collection.py",
    operation.KeepBranch: "an ephemeral branch that is kept: test_ephemeral.py",
    operation.Purge: "a purge makes it: test_purge.py",
}


def judge_fork(storage: Storage, states: list[State]) -> bool:
    """A fork that has a log is what its parent was, whatever else is lost; returns if it has."""
    if not has_operations(storage, FORK):
        return False
    rig = Rig(storage, FORK)
    try:
        assert rig.picture() == states[FORKED].branches["main"]
        assert rig.findings() == []
        rig.make("of the fork", b"x")
    finally:
        rig.die()
    return True


def test_kill_before_every_call_of_the_other_kinds(shelf: IndexShelf, boot: Boot) -> None:
    rig = new_workspace(RecordingStorage(shelf.directory()))
    states, moments = recorded(rig, KINDS)
    rig.die()
    forks = 0
    for moment in moments:
        try:
            judge_kill(moment, states, shelf)
            forks += judge_fork(moment.disk.killed(shelf), states)
        except BaseException as error:
            error.add_note(f"killed before {moment.call} {moment.path} in {KINDS[moment.step][0]}")
            raise
    assert 0 < forks < len(moments)


@pytest.mark.parametrize("share", range(4))
def test_power_loss_before_every_call_of_the_other_kinds(
    shelf: IndexShelf, boot: Boot, share: int, is_long: bool
) -> None:
    rig = new_workspace(RecordingStorage(shelf.directory()))
    states, moments = recorded(rig, KINDS)
    rig.die()
    for number, moment in list(enumerate(moments))[share::4]:
        for seed in range(number, number + (20 if is_long else 2)):
            boot.id = "boot-1"
            try:
                judge_power_loss(moment, states, shelf, boot, seed)
                forked = judge_fork(moment.disk.without_power(shelf, seed), states)
                # It was durable when the step ended.
                assert forked or moment.step <= FORKED
            except BaseException as error:
                where = f"{moment.call} {moment.path} in {KINDS[moment.step][0]}"
                error.add_note(f"no power before {where}, seed {seed}")
                raise


def kinds_in(rig: Rig) -> set[type]:
    """Returns the classes of all records in the layers and the log of a store."""
    layers = rig.store.layers
    found = {type(m) for layer in all_layers(rig.storage) for _, m in layers.records(layer)}
    return found | {type(record) for _, record in rig.workspace.log.operations()}


def test_every_kind_of_mutation_and_operation_is_in_a_scenario(
    shelf: IndexShelf, boot: Boot
) -> None:
    found: set[type] = set()
    for steps in (*SCENARIOS.values(), KINDS):
        rig = new_workspace(RecordingStorage(shelf.directory()))
        for _, do in steps:
            do(rig)
        found |= kinds_in(rig)
        rig.die()
    wanted = {*get_args(mutation.Mutation), *get_args(operation.Operation)}
    assert wanted - found == ELSEWHERE.keys()


def test_a_power_loss_that_takes_what_the_log_names_makes_it_void(
    shelf: IndexShelf, boot: Boot
) -> None:
    rig = new_workspace(RecordingStorage(shelf.directory()))
    _, moments = recorded(rig, SCENARIOS["namespace"])
    rig.die()
    for seed, moment in enumerate(moments * 4):
        boot.again()
        rig = Rig(moment.disk.without_power(shelf, seed))
        rig.branch_pictures()
        found = {type(record) for _, record in rig.workspace.log.operations()}
        rig.die()
        if operation.Void in found:
            return
    pytest.fail("no power loss took anything that the log names")
