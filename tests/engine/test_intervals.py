"""What a stretch of a journal touches is read once, composed, and forgotten when it is too much."""

import itertools

import pytest

from pyi_fs import limits
from pyi_fs.engine.intervals import Intervals
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import InodeNumber, LayerId
from pyi_fs.model.touched import Touched
from tests.support.workspaces import Rig


def written(rig: Rig) -> tuple[LayerId, list[int]]:
    """Makes files; returns the layer and its offsets, that of the first record first."""
    offsets = []
    for number in range(5):
        rig.make(f"f{number}")
        offsets.append(rig.main.position.offset)
    layer = rig.main.position.layer
    return layer, [rig.store.layers.start(layer), *offsets]


def added(intervals: Intervals, layer: LayerId, start: int, stop: int) -> set[bytes]:
    touched = Touched()
    intervals.add(touched, layer, start, stop)
    return {name for _, name in touched.names}


def test_stretches_are_composed_of_kept_ones_and_of_the_journal(workspace: Rig) -> None:
    layer, ends = written(workspace)
    intervals = Intervals(workspace.store.layers)
    known = Touched()
    known.names.add((InodeNumber(1), b"known"))
    intervals.note(layer, ends[2], ends[3], known)
    assert added(intervals, layer, 0, ends[2]) == {b"f0", b"f1"}
    assert added(intervals, layer, 0, ends[5]) == {b"f0", b"f1", b"known", b"f3", b"f4"}
    assert added(intervals, layer, ends[1], ends[2]) == {b"f1"}
    assert added(intervals, layer, ends[3], ends[4]) == {b"f3"}


def test_what_was_read_is_not_read_again(workspace: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, ends = written(workspace)
    intervals = Intervals(workspace.store.layers)
    first = added(intervals, layer, 0, ends[5])
    monkeypatch.setattr(workspace.store.layers, "records", None)
    assert added(intervals, layer, 0, ends[5]) == first == {b"f%d" % n for n in range(5)}
    assert added(intervals, layer, ends[3], ends[3]) == set()


def test_a_shorter_stretch_than_the_kept_one_is_read(workspace: Rig) -> None:
    layer, ends = written(workspace)
    intervals = Intervals(workspace.store.layers)
    added(intervals, layer, 0, ends[5])
    assert added(intervals, layer, 0, ends[1]) == {b"f0"}


def test_the_caller_may_change_what_it_got(workspace: Rig) -> None:
    layer, ends = written(workspace)
    intervals, touched = Intervals(workspace.store.layers), Touched()
    intervals.add(touched, layer, 0, ends[1])
    touched.names.clear()
    assert added(intervals, layer, 0, ends[1]) == {b"f0"}


def test_together_they_stay_within_the_limit(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, ends = written(workspace)
    monkeypatch.setattr(limits, "TOUCHED_NAMES_MAX", 16)
    intervals = Intervals(workspace.store.layers)
    for start, stop in itertools.pairwise(ends):
        added(intervals, layer, start, stop)
    calls = []
    records = workspace.store.layers.records

    def counted(at: LayerId, start: int = 0, stop: int | None = None) -> object:
        calls.append(start)
        return records(at, start, stop)

    monkeypatch.setattr(workspace.store.layers, "records", counted)
    for start, stop in zip(ends[::-1][1:], ends[::-1], strict=False):
        added(intervals, layer, start, stop)
    assert calls[-1] == ends[0]
    assert ends[4] not in calls
    big = Touched(InodeNumber(n) for n in range(10))
    intervals.note(layer, ends[0], ends[5], big)
    assert b"f4" in added(intervals, layer, 0, ends[5])


def test_a_layer_that_is_gone_is_not_found(workspace: Rig) -> None:
    with pytest.raises(NotFoundError):
        added(Intervals(workspace.store.layers), LayerId(12345), 0, 100)
