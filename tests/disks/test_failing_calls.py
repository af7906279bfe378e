"""Each call that changes the disk fails once, in turn: the caller is told and nothing has changed.

A scenario of single steps runs on a storage whose n-th call raises, for every n. The step that met
the error is done again, as its caller would, and must then succeed; branches and snapshots are what
they were before it, or as after it where it cannot be told. At the end the store is opened anew.
"""

import errno
from collections.abc import Callable

import pytest

from pyi_fs import limits
from pyi_fs.engine import left_layers
from pyi_fs.engine.references import all_layers
from pyi_fs.store import layout
from tests.support.crashes import Step
from tests.support.memory_file import MemoryFile
from tests.support.storage import FailingStorage
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace

pytestmark = [pytest.mark.slow]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 24 * 1024)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 4096)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 2)
    monkeypatch.setattr(left_layers, "OPEN_MAX", 2)


class FailingLater(FailingStorage):
    """Counts and fails only while `is_counting`: what a test looks at is not the scenario."""

    is_counting = False

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        if self.is_counting:
            super()._before(call, path, file, data)


def sync(rig: Rig) -> None:
    for opened in rig.workspace.opened_branches():
        opened.sync()


def reclaim(rig: Rig) -> None:
    for opened in rig.workspace.opened_branches():
        opened.reclaim()


def pattern(number: int, length: int) -> bytes:
    return bytes((number * 37 + i * 11 + i // 251) % 256 for i in range(length))


def write(path: str, number: int, length: int, *, on: str = "main") -> Step:
    return f"write {path}", lambda rig: rig.write(path, pattern(number, length), on=on)


STEPS: list[Step] = [
    ("make a", lambda rig: rig.make("a")),
    write("a", 1, 20_000),
    ("sync", sync),
    ("mkdir d", lambda rig: rig.mkdir("d")),
    ("make d/b", lambda rig: rig.make("d/b")),
    write("a", 2, 20_000),
    ("sync", sync),
    ("reclaim", reclaim),
    ("snapshot", lambda rig: rig.snapshot("first")),
    ("rename", lambda rig: rig.rename("d/b", "b")),
    write("b", 3, 5_000),
    ("make branch", lambda rig: rig.workspace.make_branch("side", rig.main)),
    ("open branch", lambda rig: rig.branch("side")),
    write("a", 4, 9_000, on="side"),
    ("sync", sync),
    ("restore", lambda rig: rig.workspace.restore(rig.main, "first")),
    write("a", 5, 3_000),
    ("restore path", lambda rig: rig.workspace.restore(rig.branch("side"), "first", b"d")),
    ("sync", sync),
    ("undo", lambda rig: rig.workspace.undo(rig.main)),
    ("make e", lambda rig: rig.make("e")),
    ("seal", Rig.seal_all),
    ("checkpoint", Rig.checkpoint),
    ("delete", lambda rig: rig.workspace.delete_snapshot("first")),
    ("sync", sync),
]
"""Each can be done again after it failed."""
MAY_HALF_HAPPEN = {"restore", "undo", "open branch", "seal", "checkpoint"}
"""Steps of several operations: the automatic snapshot before a restore may have been taken."""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_failed_call_is_told_and_changes_nothing(
    number: int, shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    total = _run(shelf, boot, None, number)
    assert total > 60
    steps = 1 if is_long else 2 if number == errno.ENOSPC else 13
    for fail_at in range(0, total, steps):
        _run(shelf, boot, fail_at, number)


class _Run:
    """One run of the scenario."""

    def __init__(self, shelf: IndexShelf, fail_at: int | None, number: int) -> None:
        self.storage = FailingLater(fail_at, error=number, host_root=shelf.directory())
        self.rig = new_workspace(self.storage)
        self.number = number
        self.failed = ""
        self.is_durable = True

    def steps(self) -> None:
        for name, do in STEPS:
            before = self.rig.branch_pictures() if not self.failed else {}
            error = self.attempt(do)
            if error is None:
                continue
            assert not self.failed
            assert error.errno == self.number
            self.failed = f"{name}: {self.storage.calls[-1]}"
            if name not in MAY_HALF_HAPPEN:
                assert self.rig.branch_pictures() == before
            again = self.attempt(do)
            if again is not None:
                # A file of another writer, which nobody here can write again: it goes on saying so.
                assert "an earlier sync" in str(again)
                self.is_durable = False

    def attempt(self, do: Callable[[Rig], object]) -> OSError | None:
        self.storage.is_counting = True
        try:
            do(self.rig)
        except OSError as error:
            return error
        finally:
            self.storage.is_counting = False
        return None

    def state(self) -> object:
        assert self.rig.findings() == []
        return self.rig.branch_pictures(), self.rig.snapshot_pictures()

    def judge(self, boot: Boot, seed: int) -> None:
        disk, synced = self.storage.after_kill(), self.state()
        for layer in all_layers(self.storage):
            # No attempt that failed leaves a layer behind.
            assert self.storage.exists(layout.journal(layer))
        self.rig.close()
        self.rig = Rig(self.storage.after_kill())
        assert self.state() == synced
        if self.is_durable:
            # The last step was a sync that succeeded.
            self.rig.die()
            boot.again()
            self.rig = Rig(disk.after_power_loss(seed))
            assert self.state() == synced


def _run(shelf: IndexShelf, boot: Boot, fail_at: int | None, number: int) -> int:
    run = _Run(shelf, fail_at, number)
    try:
        run.steps()
        total = len(run.storage.calls)
        run.judge(boot, fail_at or 0)
    except BaseException as error:
        error.add_note(f"call {fail_at} failed: {run.failed or run.storage.calls[-1:]}")
        raise
    finally:
        run.rig.die()
    return total
