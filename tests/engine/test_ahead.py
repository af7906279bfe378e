"""What a command is going to make durable of memory is copied before it, and it copies the rest."""

import errno
import os

import pytest

from pyi_fs import limits
from pyi_fs.engine.ahead import Ahead, of_branch, of_keeping, of_snapshot
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import BranchName
from pyi_fs.store.journal import read_synced
from tests.support.storage import MemoryStorage
from tests.support.tiers import Tiers
from tests.support.workspaces import Rig

TRY = BranchName("try")
MIB = 1 << 20


@pytest.fixture
def rig(tiered: Rig) -> Rig:
    """An ephemeral branch `try` with a MiB in it."""
    tiered.workspace.make_branch("try", tiered.main, ephemeral=True)
    tiered.make("x", b"x" * MIB, on="try")
    return tiered


def disk(rig: Rig) -> MemoryStorage:
    assert isinstance(rig.storage, Tiers)
    return rig.storage.disk_tier


def run(ahead: Ahead | None) -> None:
    assert ahead is not None
    ahead()


def copied_by(rig: Rig, command) -> int:
    """Returns how many bytes a command appends to files on the disk."""
    counted = 0
    open_append = disk(rig).open_append

    def counting(path: str, *, create: bool = False):
        file = open_append(path, create=create)
        append = file.append

        def appended(*parts: bytes) -> int:
            nonlocal counted
            counted += sum(map(len, parts))
            return append(*parts)

        file.append = appended  # type: ignore[method-assign, assignment]
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk(rig), "open_append", counting)
        command()
    return counted


def test_a_promotion_copies_what_came_since(rig: Rig) -> None:
    run(of_branch(rig.workspace, TRY))
    assert rig.store.layers.is_in_memory(rig.branch("try").position.layer)
    rig.write("x", b"more", on="try")
    assert copied_by(rig, rig.branch("try").promote) < 1000
    assert not rig.store.layers.is_in_memory(rig.branch("try").position.layer)
    assert rig.read("x", on="try").startswith(b"more")


def test_without_it_a_promotion_copies_all(rig: Rig) -> None:
    assert copied_by(rig, rig.branch("try").promote) > MIB


def test_what_is_durable_already_needs_nothing(rig: Rig) -> None:
    assert of_branch(rig.workspace, BranchName("main")) is None
    assert of_keeping(rig.workspace, BranchName("main")) is None
    kept = rig.workspace.snapshot(rig.main, name="durable").snapshot
    assert of_snapshot(rig.workspace, kept) is None
    with pytest.raises(NotFoundError):
        of_branch(rig.workspace, BranchName("nobody"))


def test_a_branch_that_nobody_has_open_is_copied_too(rig: Rig) -> None:
    position = rig.branch("try").position
    rig.workspace.close_branch(rig.branch("try"))
    run(of_branch(rig.workspace, TRY))
    assert read_synced(disk(rig), position.layer) == position.offset


def test_keeping_copies_the_snapshots_of_other_layers(rig: Rig) -> None:
    first = rig.workspace.snapshot(rig.branch("try")).snapshot
    rig.write("x", b"y" * MIB, on="try")
    second = rig.workspace.snapshot(rig.branch("try")).snapshot
    rig.workspace.restore(rig.branch("try"), first.id)
    rig.write("x", b"z", on="try")
    run(of_keeping(rig.workspace, TRY))
    for snapshot in (first, second):
        assert read_synced(disk(rig), snapshot.position.layer) >= snapshot.position.offset
    assert copied_by(rig, lambda: rig.workspace.switch_head(rig.main.name, TRY)) < 1000


def test_a_snapshot_is_copied_for_who_restores_it_elsewhere(rig: Rig) -> None:
    taken = rig.workspace.snapshot(rig.branch("try")).snapshot
    run(of_snapshot(rig.workspace, taken))
    assert copied_by(rig, lambda: rig.workspace.restore(rig.main, taken.id)) < 1000
    assert rig.read("x") == b"x" * MIB


def test_it_goes_on_while_somebody_writes_and_not_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COPY_AT_ONCE_BYTES", 500)
    layers = rig.branch("try").layers
    copy, written = layers.copy_ahead, [1000] * 3 + [10] + [1000] * 20

    def copied() -> None:
        copy()
        rig.write("x", b"w" * written.pop(0), on="try")

    monkeypatch.setattr(layers, "copy_ahead", copied)
    run(of_branch(rig.workspace, TRY))
    assert len(written) == 20
    run(of_branch(rig.workspace, TRY))
    assert len(written) == 20 - limits.COPY_AHEAD_ROUNDS_MAX


def test_what_cannot_be_copied_ahead_is_the_commands_to_say(rig: Rig) -> None:
    assert isinstance(rig.storage, Tiers)

    def full(call: str, path: str) -> None:
        if call == "append" and path.startswith("layers/"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    rig.storage.disk_tier.refuses = full
    run(of_branch(rig.workspace, TRY))
    with pytest.raises(OSError, match="No space left"):
        rig.branch("try").promote()
    rig.storage.disk_tier.refuses = None
    rig.branch("try").promote()
    assert rig.read("x", on="try") == b"x" * MIB


def test_a_record_that_is_going_to_be_taken_back_is_not_copied(rig: Rig) -> None:
    """A thread may look in the midst of a restore of a path."""
    branch = rig.branch("try")
    writer = branch.writer
    assert writer is not None
    settled = branch.position
    writer.hold()
    rig.mkdir("d", on="try")
    run(of_branch(rig.workspace, TRY))
    assert read_synced(disk(rig), settled.layer) == settled.offset
    branch.tree = rig.workspace.history.tree(settled)
    writer.take_back()
    rig.mkdir("other", on="try")
    branch.promote()
    assert read_synced(disk(rig), settled.layer) > settled.offset
