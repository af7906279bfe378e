"""A machine that can be stopped before every call that changes its disk, by a kill or a power loss.

`RecordingStorage` keeps what the disk held before each such call; a scenario runs once and is
judged afterwards: each of those moments is brought up again and compared with what had been
promised by then.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from pyi_fs.ids import SnapshotId
from pyi_fs.store.storage import Storage
from tests.support.memory_file import MemoryFile
from tests.support.storage import CHANGING_CALLS, MemoryStorage
from tests.support.workspaces import Boot, IndexShelf, Picture, Rig


class Machine(Protocol):
    """What a process finds: a storage, or several."""

    def killed(self, shelf: IndexShelf) -> Storage:
        """Returns what the next process finds, with a new, empty chunk index."""

    def without_power(self, shelf: IndexShelf, seed: int) -> "Storage":
        """Returns what the next boot may find."""


@dataclass(frozen=True)
class Moment:
    """The disk before a call, in the midst of it if it is an append; `step` was going on."""

    step: int
    call: str
    path: str
    disk: "Machine"


class RecordingStorage(MemoryStorage):
    """Notes a `Moment` before every changing call while `moments` is a list."""

    moments: list[Moment] | None = None
    step: int = 0
    chance = random.Random(1)

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        if self.moments is None or call not in CHANGING_CALLS or call == "lock":
            return
        self.moments.append(Moment(self.step, call, path, self.copied()))
        torn = self.copied()
        if len(data) > 1 and torn.append_part(path, data[: self.chance.randrange(1, len(data))]):
            self.moments.append(Moment(self.step, f"torn {call}", path, torn))

    def copied(self) -> "RecordingStorage":
        """Returns another machine with the same disk, nothing of which is lost."""
        return RecordingStorage(self._host_root, names=copy.deepcopy(self._names))

    def sync_everything(self) -> None:
        """Makes all that is seen durable."""
        for node in self._names.seen.values():
            if isinstance(node, MemoryFile):
                node.sync()
        self._names.durable = dict(self._names.seen)
        self._names.unsynced.clear()

    def contents(self) -> dict[str, bytes]:
        """Returns what is in every file."""
        nodes = self._names.seen.items()
        return {path: bytes(node.content) for path, node in nodes if isinstance(node, MemoryFile)}

    def append_part(self, path: str, data: bytes) -> bool:
        """Leaves a part of an append behind; returns whether the file has a name still."""
        node = self._names.seen.get(path)
        if not isinstance(node, MemoryFile):
            return False
        node.change("append", len(node.content), data)
        return True

    def killed(self, shelf: IndexShelf) -> "RecordingStorage":
        """Returns what the next process finds, with a new, empty chunk index."""
        return RecordingStorage(shelf.directory(), names=copy.deepcopy(self._names))

    def without_power(self, shelf: IndexShelf, seed: int) -> "RecordingStorage":
        """Returns what the next boot may find."""
        lost = self.after_power_loss(seed, holes=seed % 3 == 2)
        return RecordingStorage(shelf.directory(), names=lost._names)  # noqa: SLF001 - its own kind


@dataclass
class State:
    """What a workspace showed after a step."""

    name: str
    branches: dict[str, Picture]
    snapshots: dict[SnapshotId, Picture]
    synced: frozenset[str] = frozenset()
    """Branches that this step made durable, with every snapshot of theirs and of those before."""
    of_branch: dict[SnapshotId, str] = field(default_factory=dict)


Step = tuple[str, Callable[[Rig], object]]


def recorded(rig: Rig, steps: list[Step]) -> tuple[list[State], list[Moment]]:
    """Runs a scenario; returns what was there before it and after each step, and all moments.

    A step called `sync` syncs every branch open in the rig, `sync NAME` that one.
    """
    storage: Any = rig.storage
    states = [state_of(rig, "start", frozenset({"main"}))]
    moments: list[Moment] = []
    for number, (name, do) in enumerate(steps):
        storage.step, storage.moments = number, moments
        do(rig)
        storage.moments = None
        synced = frozenset[str]()
        if name == "sync":
            synced = frozenset(branch.name for branch in rig.workspace.opened_branches())
        elif name.startswith("sync "):
            synced = frozenset({name.removeprefix("sync ")})
        states.append(state_of(rig, name, synced))
    return states, moments


def state_of(rig: Rig, name: str, synced: frozenset[str]) -> State:
    """Returns what a workspace shows now."""
    refs = rig.workspace.refresh()
    return State(
        name,
        rig.branch_pictures(),
        rig.snapshot_pictures(),
        synced,
        {id_: snapshot.branch for id_, snapshot in refs.snapshots.items()},
    )


def judge_kill(moment: Moment, states: list[State], shelf: IndexShelf) -> None:
    """All that was acknowledged is there; the step that was going on happened, or did not."""
    before, after = states[moment.step], states[moment.step + 1]
    rig = Rig(moment.disk.killed(shelf))
    try:
        found, snapshots = rig.branch_pictures(), rig.snapshot_pictures()
        assert set(found) in (set(before.branches), set(after.branches))
        for name, picture in found.items():
            allowed = [state.branches[name] for state in (before, after) if name in state.branches]
            assert picture in allowed, f"branch {name}: {differences(picture, allowed[-1])}"
        for id_ in before.snapshots:
            if id_ in after.snapshots:
                assert snapshots[id_] == before.snapshots[id_]
        everything = [*before.branches.values(), *after.branches.values()]
        for id_, picture in snapshots.items():
            if id_ not in before.snapshots:
                assert picture in everything
        assert rig.findings() == []
        rig = judge_future(rig)
    finally:
        rig.die()


def judge_power_loss(
    moment: Moment, states: list[State], shelf: IndexShelf, boot: Boot, seed: int
) -> None:
    """What was synced is there; the rest is a consistent prefix of what happened."""
    past, after = states[: moment.step + 1], states[moment.step + 1]
    boot.again()
    disk = moment.disk.without_power(shelf, seed)
    rig = Rig(disk)
    try:
        found, snapshots = rig.branch_pictures(), rig.snapshot_pictures()
        for name in {*found, *(name for state in past for name in state.branches)}:
            since = max((i for i, state in enumerate(past) if name in state.synced), default=0)
            allowed = [state.branches.get(name) for state in (*past[since:], after)]
            if not any(name in state.synced for state in past):
                # Where it began may be lost: then it begins before that.
                allowed += [picture for state in past for picture in state.branches.values()]
            assert found.get(name) in allowed, (
                f"branch {name}: {differences(found.get(name), allowed[0])}"
            )
        promised = [
            (id_, picture)
            for i, state in enumerate(past)
            for id_, picture in state.snapshots.items()
            if any(state.of_branch[id_] in later.synced for later in past[i:])
        ]
        for id_, picture in promised:
            if all(id_ in state.snapshots for state in (*past[-1:], after)):
                assert snapshots.get(id_) == picture, f"snapshot {id_}"
        known: dict[SnapshotId, Picture] = {}
        for state in (*past, after):
            known.update(state.snapshots)
        everything = [p for state in (*past, after) for p in state.branches.values()]
        for id_, picture in snapshots.items():
            assert picture == known[id_] if id_ in known else picture in everything
        assert rig.findings() == []
        rig = judge_future(rig)
        found, snapshots = rig.branch_pictures(), rig.snapshot_pictures()
        for branch in rig.workspace.opened_branches():
            if branch.is_ephemeral:
                rig.workspace.keep_branch(branch)
            branch.sync()
        boot.again()
        again = Rig(cast(Machine, disk).without_power(shelf, seed + 1))
        try:
            assert again.branch_pictures() == found
            assert again.snapshot_pictures() == snapshots
            assert again.findings() == []
        finally:
            again.die()
    finally:
        rig.die()


def judge_future(rig: Rig) -> Rig:
    """Writing goes on, and what is written now survives as ever; returns a later process."""
    for name in rig.workspace.refresh().branch_names():
        rig.make("afterwards", b"written after the crash", on=name)
        taken = rig.snapshot(on=name)
        rig.write("afterwards", b"W", on=name)
        assert rig.read("afterwards", on=name) == b"Written after the crash"
        assert rig.picture_at(taken)[b"afterwards"][-1] == b"written after the crash"
    found, snapshots = rig.branch_pictures(), rig.snapshot_pictures()
    rig.close()
    again = Rig(rig.storage, rig.workspace.name)
    assert again.branch_pictures() == found
    assert again.snapshot_pictures() == snapshots
    assert again.findings() == []
    return again


def differences(one: Picture | None, other: Picture | None) -> str:
    """Returns in a few words where two pictures differ."""
    if one is None or other is None:
        return f"{one is None=}, {other is None=}"
    paths = sorted({*one, *other})
    shown = [
        f"{path!r}: {str(one.get(path))[:150]} / {str(other.get(path))[:150]}"
        for path in paths
        if one.get(path) != other.get(path)
    ]
    return "; ".join(shown[:4])
