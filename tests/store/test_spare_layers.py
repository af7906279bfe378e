"""Layers made ahead: given out once, not when they are old, and no use of them is no harm."""

import errno

import pytest

from pyi_fs import limits
from pyi_fs.ids import LayerId, segment_id
from pyi_fs.store import layout
from pyi_fs.store.spare_layers import SpareLayers
from tests.support.fixtures import boot, empty_chunk_index, memory, shelf, workspace
from tests.support.workspaces import Rig

__all__ = ["boot", "empty_chunk_index", "memory", "shelf", "workspace"]


class Clock:
    """A time that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def spares_of(rig: Rig, clock: Clock) -> SpareLayers:
    layers = rig.store.layers
    return SpareLayers(rig.storage, layers.new_directory, layers.abandon, clock)


def taken(spares: SpareLayers) -> list[LayerId]:
    return list(iter(spares.take, None))


def test_each_is_given_out_once_and_asking_is_told(workspace: Rig) -> None:
    spares, asked = spares_of(workspace, Clock()), list[bool]()
    spares.on_taken = lambda: asked.append(True)
    assert spares.take() is None
    spares.refill()
    found = taken(spares)
    assert len(set(found)) == limits.SPARE_LAYERS
    assert len(asked) == limits.SPARE_LAYERS + 2
    for layer in found:
        for path in (layout.journal(layer), layout.scratch(segment_id(layer, 0))):
            assert workspace.storage.size_bytes(path) == 0


def test_old_ones_are_removed_and_not_given_out(workspace: Rig) -> None:
    """A collection takes what no log names after a day: nobody may be about to use it."""
    assert limits.SPARE_LAYER_SECONDS_MAX < limits.UNDO_WINDOW_SECONDS / 4
    clock = Clock()
    spares = spares_of(workspace, clock)
    spares.refill()
    old = [layer for layer, _ in spares._ready]  # noqa: SLF001
    clock.now = limits.SPARE_LAYER_SECONDS_MAX + 1
    assert spares.take() is None
    spares.refill()
    assert not set(old) & set(taken(spares))
    for layer in old:
        assert not workspace.storage.exists(layout.layer_directory(layer))


@pytest.mark.parametrize("jump", [2 * 86400.0, -2 * 86400.0])
def test_none_is_used_after_the_clock_was_set(workspace: Rig, jump: float) -> None:
    """A collection may just be removing them: to it they are as old as the clock says."""
    clock = Clock()
    spares = spares_of(workspace, clock)
    spares.refill()
    clock.now += jump
    assert spares.take() is None


def test_at_the_end_none_is_left(workspace: Rig) -> None:
    spares = spares_of(workspace, Clock())
    spares.refill()
    made = [layer for layer, _ in spares._ready]  # noqa: SLF001
    spares.close()
    assert not any(workspace.storage.exists(layout.layer_directory(one)) for one in made)
    assert spares.take() is None


def test_on_a_full_disk_there_is_none(workspace: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spares, calls = spares_of(workspace, Clock()), []
    opened = workspace.storage.open_append

    def full(path: str, *, create: bool = False) -> object:
        calls.append(path)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "full")
        return opened(path, create=create)

    monkeypatch.setattr(workspace.storage, "open_append", full)
    spares.refill()
    assert len(taken(spares)) == 1
    left = layout.layer_directory(LayerId(int(calls[-1].split("/")[2], 16)))
    assert not workspace.storage.exists(left)


def test_a_branch_goes_on_in_a_spare_layer_and_nobody_sees_a_difference(workspace: Rig) -> None:
    spares = workspace.store.layers.spares
    spares.refill()
    made = [layer for layer, _ in spares._ready]  # noqa: SLF001
    workspace.make("f", b"one")
    assert workspace.main.position.layer == made[0]
    workspace.write("f", b"two")
    first = workspace.snapshot()
    workspace.workspace.restore(workspace.main, first)
    workspace.make("g", b"three")
    assert workspace.main.position.layer == made[1]
    # Folded from the files.
    workspace.workspace.close_branch(workspace.main)
    assert (workspace.read("f"), workspace.read("g")) == (b"two", b"three")


@pytest.mark.parametrize("lost", ["all of it", "the segment"])
def test_one_that_somebody_removed_is_no_error(workspace: Rig, lost: str) -> None:
    spares = workspace.store.layers.spares
    spares.refill()
    for layer, _ in spares._ready:  # noqa: SLF001
        if lost == "all of it":
            workspace.store.layers.abandon(layer)
        else:
            workspace.storage.remove(layout.scratch(segment_id(layer, 0)))
    workspace.make("f", b"one")
    assert workspace.read("f") == b"one"
