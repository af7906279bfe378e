"""What a mutation takes out of the tree is told to scratch to the byte, and nothing else is."""

import pytest

from pyi_fs.engine.superseding import note_superseded
from pyi_fs.ids import InodeNumber, LayerId, SegmentId
from pyi_fs.model.extent import iterate
from pyi_fs.model.mutation import (
    Allocate,
    Mutation,
    Reap,
    Remove,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.store.scratch import ScratchWriter
from tests.support.storage import MemoryStorage
from tests.support.workspaces import Rig

PUNCH_HOLE = 3


class Listener(ScratchWriter):
    """A scratch that only listens."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage(), LayerId(1))
        self.told: list[tuple[int, int]] = []
        self.marks = 0

    def supersede(self, segment: SegmentId, offset: int, length: int) -> None:
        self.told.append((offset, length))

    def mark_refs(self) -> None:
        self.marks += 1


def told(rig: Rig, mutation: Mutation) -> list[tuple[int, int]]:
    """Returns (offset in the segment, length) of what would be given back."""
    listener = Listener()
    note_superseded(listener, rig.main.tree, mutation)
    assert listener.marks == isinstance(mutation, Share)
    return listener.told


@pytest.fixture
def number(workspace: Rig) -> InodeNumber:
    """A file: [0, 100) at 0 of the segment, a hole, [200, 250) at 100; 300 bytes long."""
    number = workspace.make("f", b"a" * 100)
    workspace.write("f", b"b" * 50, 200)
    workspace.commit(resized(number, 300))
    return number


def resized(number: InodeNumber, size: int | None) -> SetAttributes:
    return SetAttributes(number, None, None, None, size, None, None, 9)


def write(number: InodeNumber, offset: int, length: int) -> Write:
    return Write(number, offset, length, SegmentId(0), 0, b"", 9)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 100, [(0, 100)]),
        (10, 20, [(10, 20)]),
        (90, 20, [(90, 10)]),
        (100, 100, []),
        (50, 175, [(50, 50), (100, 25)]),
        (240, 1_000, [(140, 10)]),
        (300, 10, []),
        (1_000, 10, []),
    ],
)
def test_a_write_takes_what_it_covers(
    workspace: Rig, number: InodeNumber, offset: int, length: int, expected: list[tuple[int, int]]
) -> None:
    assert told(workspace, write(number, offset, length)) == expected


def test_a_shorter_file_loses_its_end_and_a_longer_one_nothing(
    workspace: Rig, number: InodeNumber
) -> None:
    assert told(workspace, resized(number, 60)) == [(60, 40), (100, 50)]
    assert told(workspace, resized(number, 0)) == [(0, 100), (100, 50)]
    for size in (250, 300, 1_000, None):
        assert told(workspace, resized(number, size)) == []


def test_a_hole_takes_and_space_set_aside_does_not(workspace: Rig, number: InodeNumber) -> None:
    assert told(workspace, Allocate(number, 50, 160, PUNCH_HOLE, 9)) == [(50, 50), (100, 10)]
    assert told(workspace, Allocate(number, 50, 160, 0, 9)) == []
    assert told(workspace, Allocate(number, 50, 160, 1, 9)) == []


def test_a_file_goes_with_its_last_holder_not_with_its_name(
    workspace: Rig, number: InodeNumber
) -> None:
    assert told(workspace, Reap((number,))) == []
    assert told(workspace, Remove(*workspace.at("f"), False, 9)) == []
    workspace.remove("f")
    assert told(workspace, Reap((number,))) == [(0, 100), (100, 50)]


def test_sharing_takes_what_it_covers_and_keeps_the_rest_for_ever(
    workspace: Rig, number: InodeNumber
) -> None:
    extents = workspace.main.tree.existing(number).extents
    assert told(workspace, Share(number, 80, 40, extents, 9)) == [(80, 20)]


def test_what_has_no_bytes_in_scratch_takes_none(workspace: Rig, number: InodeNumber) -> None:
    assert told(workspace, SetXattr(number, b"user.a", b"1", 9)) == []
    assert told(workspace, write(InodeNumber(9_999), 0, 10)) == []
    workspace.snapshot()
    workspace.seal_all()
    workspace.checkpoint()
    assert len(list(iterate(workspace.main.tree.existing(number).extents))) > 0
    assert told(workspace, write(number, 0, 300)) == []
