"""A disk without a byte left, stopped before each call that changes it.

What gives room back draws on the reserve there: a call fails, a piece of the reserve goes, the call
is made again. Nothing that was acknowledged is lost at any moment of that, nothing is half done;
afterwards there is room again, and the reserve is filled.
"""

import pytest

from pyi_fs import limits
from pyi_fs.model.mutation import Reap
from pyi_fs.store import layout, reserve
from pyi_fs.store.storage import Storage
from tests.crash.test_every_write import (
    RECLAIM,
    SYNC,
    attributes,
    make,
    small_limits,
    text,
    write,
)
from tests.support.crashes import (
    Moment,
    RecordingStorage,
    State,
    Step,
    judge_kill,
    judge_power_loss,
    recorded,
)
from tests.support.memory_file import MemoryFile
from tests.support.small_storage import SmallStorage
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow]
__all__ = ["small_limits"]

RESERVE_BYTES = 128 * 1024


class FullDisk(SmallStorage, RecordingStorage):
    """A disk of so many bytes that can be stopped; what is brought up again has room."""

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        SmallStorage._before(self, call, path, file, data)  # noqa: SLF001 - its own
        RecordingStorage._before(self, call, path, file, data)  # noqa: SLF001 - its own


def disk_of(rig: Rig) -> FullDisk:
    storage: Storage = rig.storage
    assert isinstance(storage, FullDisk)
    return storage


def fill(rig: Rig) -> None:
    disk = disk_of(rig)
    disk.capacity_bytes -= disk.free_bytes()


def make_room(rig: Rig) -> None:
    disk_of(rig).capacity_bytes += 1 << 20


def reap(rig: Rig) -> None:
    rig.commit(Reap(tuple(rig.main.tree.unlinked)))


STEPS: list[Step] = [
    ("unlink b", lambda rig: rig.remove("b")),
    ("reap", reap),
    attributes("a", size=0),
    SYNC,
    ("rmdir d", lambda rig: rig.remove("d", directory=True)),
    RECLAIM,
    ("fill", fill),
    ("delete one", lambda rig: rig.workspace.delete_snapshot("one")),
    ("drop side", lambda rig: rig.workspace.drop_branch("side")),
    ("unlink c", lambda rig: rig.remove("c")),
    SYNC,
    RECLAIM,
    ("make room", make_room),
    make("new"),
    write("new", 5, 9000),
    SYNC,
]


def begun(shelf: IndexShelf) -> Rig:
    """Two branches, two snapshots and a reserve; the mount has changed nothing yet."""
    rig = new_workspace(FullDisk(1 << 30, host_root=shelf.directory()))
    reserve.make(rig.storage)
    for name, number in (("a", 1), ("b", 2), ("c", 3)):
        rig.make(name, text(number, 9000))
    rig.mkdir("d")
    rig.snapshot("one")
    rig.make("e", text(4, 9000))
    rig.snapshot("two")
    rig.workspace.make_branch("side", rig.main)
    rig.main.sync()
    rig.restart()
    fill(rig)
    return rig


def played(shelf: IndexShelf) -> tuple[list[State], list[Moment]]:
    rig = begun(shelf)
    found = recorded(rig, STEPS)
    rig.die()
    return found


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESERVE_BYTES", RESERVE_BYTES)


def test_the_reserve_is_drawn_on_and_filled_again(shelf: IndexShelf, boot: Boot) -> None:
    """Else the tests below would prove nothing."""
    rig = begun(shelf)
    sizes = []
    for _, do in STEPS:
        do(rig)
        sizes.append(rig.storage.size_bytes(layout.RESERVE) or 0)
    assert sizes[0] == RESERVE_BYTES - 64 * 1024
    assert min(sizes) < RESERVE_BYTES
    assert sizes[-1] == RESERVE_BYTES
    rig.close()


def test_kill_before_every_call_loses_nothing(shelf: IndexShelf, boot: Boot) -> None:
    states, moments = played(shelf)
    assert any(moment.path == layout.RESERVE for moment in moments)
    for moment in moments:
        try:
            judge_kill(moment, states, shelf)
        except BaseException as error:
            where = f"{moment.call} {moment.path} in {STEPS[moment.step][0]}"
            error.add_note(f"killed before {where}")
            raise


def test_power_loss_before_every_call_leaves_a_consistent_prefix(
    shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    states, moments = played(shelf)
    for number, moment in enumerate(moments):
        for seed in range(number, number + (20 if is_long else 2)):
            boot.id = "boot-1"
            try:
                judge_power_loss(moment, states, shelf, boot, seed)
            except BaseException as error:
                where = f"{moment.call} {moment.path} in {STEPS[moment.step][0]}"
                error.add_note(f"no power before {where}, seed {seed}")
                raise
