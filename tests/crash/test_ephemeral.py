"""A machine with a disk and a memory, stopped before each call that changes either.

A kill leaves both, a power loss the disk only. What an ephemeral branch does with its layers
(memory, promotion, spilling, coming back) is done here with durable branches beside it; every
moment is judged by the promises of `docs/durability.md`.
"""

from itertools import pairwise

import pytest

from pyi_fs import limits
from pyi_fs.engine import branch_layers
from pyi_fs.engine.ahead import of_keeping
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.ids import BranchName, SnapshotId
from tests.crash.test_every_write import make, make_branch, named, restore, write
from tests.support.crashes import (
    Moment,
    State,
    Step,
    judge_future,
    judge_kill,
    judge_power_loss,
    recorded,
)
from tests.support.tiers import Tiers, new_tiers
from tests.support.workspaces import Boot, IndexShelf, Picture, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow]

BOUND_BYTES = 96 * 1024


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 24 * 1024)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 4096)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 4)
    monkeypatch.setattr(branch_layers, "_RECLAIM_BYTES_MIN", 8192)


def ephemeral(name: str, start: str = "main") -> Step:
    return (
        f"make ephemeral {name}",
        lambda rig: rig.workspace.make_branch(name, rig.branch(start), ephemeral=True),
    )


def head(name: str) -> Step:
    return f"head {name}", lambda rig: rig.workspace.switch_head(rig.main.name, name)


def snapshot(on: str) -> Step:
    return f"snapshot of {on}", lambda rig: rig.snapshot(on=on)


def fork(name: str) -> Step:
    return "fork", lambda rig: fork_workspace(rig.store, rig.workspace.name, name, "fork")


SYNC_MAIN: Step = ("sync main", lambda rig: rig.main.sync())

PROMOTING: list[Step] = [
    make("a"),
    write("a", 1, 3000),
    ephemeral("try"),
    SYNC_MAIN,
    make("x", on="try"),
    write("x", 2, 30_000, on="try"),
    snapshot("try"),
    write("x", 3, 9000, 5000, on="try"),
    named("kept", on="try"),
    SYNC_MAIN,
    write("x", 4, 2000, on="try"),
    restore("kept", on="try"),
    write("x", 5, 2000, 100, on="try"),
    make_branch("durable", "try"),
    make("d", on="durable"),
    ("sync durable", lambda rig: rig.branch("durable").sync()),
    write("x", 6, 500, on="try"),
    head("try"),
    SYNC_MAIN,
    write("x", 7, 500, on="try"),
    ("sync try", lambda rig: rig.branch("try").sync()),
]
"""Everything that makes an ephemeral branch, or a place in it, durable."""

LENDING: list[Step] = [
    make("a"),
    ephemeral("try"),
    ephemeral("child", "try"),
    SYNC_MAIN,
    make("x", on="try"),
    write("x", 1, 6000, on="try"),
    snapshot("try"),
    ("restore x", lambda rig: rig.workspace.restore(rig.branch("child"), "1", b"x")),
    ("restore x in main", lambda rig: rig.workspace.restore(rig.main, "1", b"x")),
    SYNC_MAIN,
    write("x", 2, 600, on="child"),
    named("lent", on="child"),
    SYNC_MAIN,
    ("restore whole", lambda rig: rig.workspace.restore(rig.main, "1")),
    SYNC_MAIN,
]
"""Bytes and trees of ephemeral branches in others."""

SPILLING: list[Step] = [
    make("a"),
    ephemeral("try"),
    SYNC_MAIN,
    make("x", on="try"),
    write("x", 1, 40_000, on="try"),
    write("x", 2, 40_000, on="try"),
    write("x", 3, 40_000, 40_000, on="try"),
    write("x", 4, 40_000, 80_000, on="try"),
    snapshot("try"),
    write("x", 5, 20_000, 10_000, on="try"),
    SYNC_MAIN,
    named("kept", on="try"),
    SYNC_MAIN,
    write("x", 6, 20_000, 10_000, on="try"),
    ("drop", lambda rig: rig.workspace.drop_branch("try")),
    ("undrop", lambda rig: rig.workspace.undo(rig.main)),
    write("x", 7, 3000, on="try"),
]
"""More than memory may hold."""

FORKING: list[Step] = [
    make("a"),
    ephemeral("try"),
    SYNC_MAIN,
    make("x", on="try"),
    write("x", 1, 30_000, on="try"),
    fork("try"),
    write("x", 2, 30_000, on="try"),
    named("later", on="try"),
    SYNC_MAIN,
]
"""A copy of what is still being written, and again when it has grown."""


def copied_ahead(name: str) -> Step:
    def copy(rig: Rig) -> None:
        ahead = of_keeping(rig.workspace, BranchName(name))
        assert ahead is not None
        ahead()

    return f"copy {name} ahead", copy


AHEAD: list[Step] = [
    make("a"),
    ephemeral("try"),
    SYNC_MAIN,
    make("x", on="try"),
    write("x", 1, 30_000, on="try"),
    copied_ahead("try"),
    write("x", 2, 20_000, 5000, on="try"),
    copied_ahead("try"),
    snapshot("try"),
    write("x", 3, 9000, 5000, on="try"),
    named("kept", on="try"),
    SYNC_MAIN,
    write("x", 4, 2000, on="try"),
    restore("kept", on="try"),
    write("x", 5, 2000, 100, on="try"),
    copied_ahead("try"),
    write("x", 6, 500, on="try"),
    head("try"),
    SYNC_MAIN,
    write("x", 7, 500, on="try"),
]
"""What a thread copies before a command, and what the command copies then."""

SCENARIOS = {
    "ahead": AHEAD,
    "promoting": PROMOTING,
    "lending": LENDING,
    "spilling": SPILLING,
    "forking": FORKING,
}


def begun(shelf: IndexShelf) -> Rig:
    return bounded(new_workspace(new_tiers(shelf.directory())))


def bounded(rig: Rig) -> Rig:
    assert rig.store.layers.bound is not None
    rig.store.layers.bound.bytes_max = BOUND_BYTES
    return rig


def played(name: str, shelf: IndexShelf) -> tuple[list[State], list[Moment]]:
    rig = begun(shelf)
    states, moments = recorded(rig, SCENARIOS[name])
    rig.die()
    return states, moments


@pytest.mark.parametrize("name", SCENARIOS)
def test_kill_before_every_call_loses_nothing(name: str, shelf: IndexShelf, boot: Boot) -> None:
    states, moments = played(name, shelf)
    for moment in moments:
        try:
            judge_kill(moment, states, shelf)
        except BaseException as error:
            error.add_note(f"killed before {moment.call} {moment.path} in step {moment.step}")
            raise


@pytest.mark.parametrize("name", SCENARIOS)
def test_power_loss_before_every_call_takes_what_was_in_memory_and_nothing_else(
    name: str, shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    states, moments = played(name, shelf)
    for number, moment in enumerate(moments):
        for seed in range(number, number + (20 if is_long else 2)):
            boot.id = "boot-1"
            try:
                judge_power_loss(moment, states, shelf, boot, seed)
                judge_names(moment, states, shelf, boot, seed)
            except BaseException as error:
                where = f"{moment.call} {moment.path} in step {moment.step}"
                error.add_note(f"no power before {where}, seed {seed}")
                error.add_note(f"steps: {[state.name for state in states[1:]]}")
                raise


@pytest.mark.parametrize("name", SCENARIOS)
def test_memory_that_is_cleared_without_a_boot_is_a_loss_like_any(
    name: str, shelf: IndexShelf, boot: Boot
) -> None:
    """As at the last logout of a user whose shared memory systemd removes."""
    states, moments = played(name, shelf)
    for moment in moments[::7]:
        before, after = states[moment.step], states[moment.step + 1]
        assert isinstance(moment.disk, Tiers)
        rig = Rig(moment.disk.without_memory(shelf))
        try:
            assert rig.picture() in (before.branches["main"], after.branches["main"])
            promised = promised_by_name(states[: moment.step + 1])
            snapshots = rig.snapshot_pictures()
            for id_, picture in promised.items():
                assert snapshots[id_] == picture
            rig = judge_future(rig)
        except BaseException as error:
            error.add_note(f"cleared before {moment.call} {moment.path} in step {moment.step}")
            raise
        finally:
            rig.die()


def judge_names(
    moment: Moment, states: list[State], shelf: IndexShelf, boot: Boot, seed: int
) -> None:
    """What had a name when the log was synced last is there, wherever its branch was."""
    boot.again()
    rig = Rig(moment.disk.without_power(shelf, seed))
    try:
        rig.branch_pictures()
        snapshots = rig.snapshot_pictures()
        past = states[: moment.step + 1]
        synced = max((i for i, state in enumerate(past) if state.synced), default=0)
        for id_, picture in promised_by_name(past[: synced + 1]).items():
            assert snapshots.get(id_) == picture, f"snapshot {id_}"
    finally:
        rig.die()


def promised_by_name(past: list[State]) -> dict[SnapshotId, Picture]:
    """Returns the snapshots that named steps took."""
    found: dict[SnapshotId, Picture] = {}
    for before, state in pairwise(past):
        if state.name.startswith("snapshot ") and not state.name.startswith("snapshot of "):
            found |= {
                id_: picture
                for id_, picture in state.snapshots.items()
                if id_ not in before.snapshots
            }
    return found
