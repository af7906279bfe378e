"""The algebra of extent lists against the plainest model there is: one entry for every byte."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.ids import ChunkId, LayerId, segment_id
from pyi_fs.model import extent
from pyi_fs.model.extent import CHUNK, EMPTY, ENTRY_BYTES, SCRATCH, Extent, ExtentList

SOURCES = [
    (SCRATCH, extent.scratch_source(segment_id(LayerId(1), 0))),
    (SCRATCH, extent.scratch_source(segment_id(LayerId(1), 1))),
    (CHUNK, b"c" * 32),
]
Bytes = list[tuple[int, bytes, int] | None]
SPACE = 400
offsets = st.integers(0, SPACE - 1)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes lists of many blocks from few extents."""
    monkeypatch.setattr(extent, "BLOCK_ENTRIES_MAX", 3)


def bytes_of(extents: ExtentList) -> Bytes:
    """Returns where each byte of the space comes from, None for a hole."""
    found: Bytes = [None] * SPACE
    for item in extent.iterate(extents):
        for i in range(item.length):
            found[item.file_offset + i] = (item.kind, item.source, item.source_offset + i)
    return found


def assert_well_formed(extents: ExtentList) -> None:
    """Asserts order, disjointness, no empty extents, and the shape of blocks."""
    end = 0
    for item in extent.iterate(extents):
        assert item.length > 0
        assert item.file_offset >= end
        end = item.end
    blocks = (extents,) if isinstance(extents, bytes) else extents
    assert isinstance(extents, bytes) or len(extents) > 1
    for block in blocks:
        assert block or extents == EMPTY
        assert len(block) % ENTRY_BYTES == 0
        assert len(block) <= extent.BLOCK_ENTRIES_MAX * ENTRY_BYTES


@st.composite
def items(draw: st.DrawFn) -> Extent:
    """Returns an extent within the space; source offsets often continue a neighbour's."""
    start = draw(offsets)
    length = draw(st.integers(1, 4) | st.integers(1, 90))
    kind, source = draw(st.sampled_from(SOURCES))
    # Equal differences between file and source offset are what lets neighbours merge.
    source_offset = start + draw(st.sampled_from([0, 0, 1000]))
    return Extent(start, min(length, SPACE - start), kind, source, source_offset)


Operation = tuple[str, Extent]
operations = st.lists(
    st.tuples(st.sampled_from(["with", "with", "with", "without"]), items()), max_size=40
)


def play(steps: list[Operation]) -> Iterator[tuple[ExtentList, Bytes]]:
    """Yields list and model after each step."""
    extents: ExtentList = EMPTY
    model: Bytes = [None] * SPACE
    for what, item in steps:
        if what == "with":
            extents = extent.with_extent(extents, item)
            model[item.file_offset : item.end] = [
                (item.kind, item.source, item.source_offset + i) for i in range(item.length)
            ]
        else:
            extents = extent.without_range(extents, item.file_offset, item.end)
            model[item.file_offset : item.end] = [None] * item.length
        yield extents, model


def last_of(steps: list[Operation]) -> tuple[ExtentList, Bytes]:
    """Returns list and model after all steps."""
    nothing: Bytes = [None] * SPACE
    last: tuple[ExtentList, Bytes] = EMPTY, nothing
    for step in play(steps):
        last = step
    return last


@pytest.mark.usefixtures("small_blocks")
class TestAgainstBytes:
    """Fixtures are shared by the examples on purpose: the limit is the same for all."""

    @given(operations)
    def test_writes_and_holes_are_those_of_single_bytes(self, steps: list[Operation]) -> None:
        """Overwriting, appending and punching give the same bytes, in a well-formed list."""
        for extents, model in play(steps):
            assert bytes_of(extents) == model
            assert_well_formed(extents)
            assert extent.count(extents) == len(list(extent.iterate(extents)))

    @given(operations, st.lists(st.tuples(offsets, offsets), max_size=8))
    def test_reading_a_range_is_reading_its_bytes(
        self, steps: list[Operation], ranges: list[tuple[int, int]]
    ) -> None:
        """`overlapping` gives exactly the range, in order, nothing for an empty or reversed one."""
        extents, model = last_of(steps)
        for start, end in [*ranges, (0, SPACE)]:
            found = extent.overlapping(extents, start, end)
            assert all(start <= item.file_offset < item.end <= end for item in found)
            read: Bytes = [None] * SPACE
            read[start:end] = model[start:end]
            assert bytes_of(extent.from_extents(found)) == (read if start < end else [None] * SPACE)

    @given(operations)
    def test_merging_keeps_the_bytes(self, steps: list[Operation]) -> None:
        """`from_extents` of a list shows the same; no two neighbours could be one; again: equal."""
        extents, model = last_of(steps)
        merged = extent.from_extents(extent.iterate(extents))
        assert bytes_of(merged) == model
        assert_well_formed(merged)
        found = list(extent.iterate(merged))
        for left, right in pairwise(found):
            joined = (left.end, left.kind, left.source, left.source_offset + left.length)
            assert joined != (right.file_offset, right.kind, right.source, right.source_offset)
        assert extent.from_extents(extent.iterate(merged)) == merged

    @given(operations, operations, operations)
    def test_two_lists_differ_where_their_bytes_do(
        self, common: list[Operation], one: list[Operation], other: list[Operation]
    ) -> None:
        left, left_model = last_of(common + one[:5])
        right, right_model = last_of(common + other[:5])
        found: set[int] = set()
        end = 0
        for start, stop in extent.differing(left, right):
            assert end <= start < stop
            found.update(range(start, stop))
            end = stop
        pairs = zip(left_model, right_model, strict=True)
        assert found == {place for place, (a, b) in enumerate(pairs) if a != b}

    @given(operations, offsets)
    def test_empty_ranges_change_nothing(self, steps: list[Operation], at: int) -> None:
        """A hole of no bytes, or one that ends before it begins, leaves the very list."""
        for extents, _ in play(steps):
            assert extent.without_range(extents, at, at) is extents
            assert extent.without_range(extents, at, at - 3) is extents


def scratch(offset: int, length: int, source_offset: int) -> Extent:
    """Returns a scratch extent."""
    return Extent(offset, length, SCRATCH, SOURCES[0][1], source_offset)


def test_entry_is_56_bytes_of_the_documented_form() -> None:
    """The form on disk, byte for byte."""
    packed = extent.pack(Extent(1, 2, CHUNK, b"c" * 32, 3))
    assert packed == bytes.fromhex("01000000000000000200000002000000") + b"c" * 32 + (
        bytes.fromhex("0300000000000000")
    )
    segment = segment_id(LayerId(0xA), 5)
    assert extent.scratch_source(segment) == segment.to_bytes(8, "little") + bytes(24)
    (item,) = extent.iterate(extent.pack(Extent(0, 1, SCRATCH, extent.scratch_source(segment), 0)))
    assert item.segment == segment
    (item,) = extent.iterate(packed)
    assert item.chunk == ChunkId(b"c" * 32)


def test_appends_side_by_side_become_one_extent() -> None:
    """The usual case: a file written in order is one extent, however many writes it took."""
    extents = EMPTY
    for i in range(1000):
        extents = extent.with_extent(extents, scratch(i * 4096, 4096, i * 4096))
    assert list(extent.iterate(extents)) == [scratch(0, 4096 * 1000, 0)]


def test_merging_stops_before_the_length_overflows() -> None:
    """A length is 32 bits on disk."""
    most = extent.EXTENT_BYTES_MAX
    extents = extent.with_extent(EMPTY, scratch(0, most, 0))
    extents = extent.with_extent(extents, scratch(most, 4096, most))
    assert [item.length for item in extent.iterate(extents)] == [most, 4096]


@pytest.mark.parametrize("order", ["ascending", "descending", "inside out"])
def test_blocks_are_well_filled_whatever_the_order_of_writes(order: str) -> None:
    """Appends fill blocks; any other order leaves them half full at least, on the whole."""
    numbers = list(range(5000))
    if order == "descending":
        numbers.reverse()
    elif order == "inside out":
        numbers.sort(key=lambda number: abs(number - 2500))
    extents = EMPTY
    for turn, number in enumerate(numbers):
        extents = extent.with_extent(extents, scratch(number * 10, 5, turn * 100))
    assert extent.count(extents) == 5000
    assert isinstance(extents, tuple)
    assert_well_formed(extents)
    least = 5000 // extent.BLOCK_ENTRIES_MAX
    assert len(extents) <= (least + 1 if order == "ascending" else 2 * least + 4)
    assert [item.file_offset for item in extent.iterate(extents)] == list(range(0, 50000, 10))


def test_hole_over_a_whole_block_leaves_no_empty_block() -> None:
    """A hole that is exactly one block of three takes it out of the tuple."""
    most = extent.BLOCK_ENTRIES_MAX
    extents = extent.from_extents([scratch(i * 10, 5, i * 100) for i in range(3 * most)])
    assert len(extents) == 3
    left = extent.without_range(extents, most * 10, 2 * most * 10 - 5)
    assert_well_formed(left)
    assert extent.count(left) == 2 * most


def test_large_list_shrinks_to_one_block_and_to_nothing() -> None:
    """A tuple of blocks becomes one block again, and the empty list."""
    extents = extent.from_extents([scratch(i * 10, 5, i * 100) for i in range(1000)])
    assert isinstance(extents, tuple)
    few = extent.without_range(extents, 50, 10**6)
    assert isinstance(few, bytes)
    assert extent.count(few) == 5
    assert extent.without_range(extents, 0, 10**6) == EMPTY
    middle = extent.without_range(extents, 1303, 8801)
    assert extent.count(middle) == 1000 - 749
    assert_well_formed(middle)
    assert extent.overlapping(middle, 1300, 8805)[0] == scratch(1300, 3, 13000)
    assert extent.overlapping(middle, 1300, 8805)[-1] == scratch(8801, 4, 88001)
