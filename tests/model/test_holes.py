"""Data and holes of a file, compared with a look at every byte."""

from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.ids import InodeNumber, LayerId, segment_id
from pyi_fs.model import extent, holes
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode

SEGMENT = extent.scratch_source(segment_id(LayerId(1), 0))


def file_of(size, ranges):
    """Returns a file whose data is in `ranges`: start and length."""
    extents = extent.EMPTY
    for index, (start, length) in enumerate(ranges):
        end = min(start + length, size)
        if start < end:
            piece = Extent(start, end - start, extent.SCRATCH, SEGMENT, index * 1000)
            extents = extent.with_extent(extents, piece)
    return Inode(0o100644, 1, 0, 0, size, 0, 0, 0, 0, InodeNumber(1), b"f", extents)


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8),
    st.integers(0, 70),
)
def test_next_data_and_hole_are_what_a_look_at_each_byte_finds(size, ranges, offset):
    has_data = [any(a <= at < a + length for a, length in ranges) for at in range(size)]
    inode = file_of(size, ranges)
    data = [at for at in range(offset, size) if has_data[at]]
    hole = [at for at in range(offset, size) if not has_data[at]]
    assert holes.next_data(inode, offset) == (data[0] if data else None)
    expected = hole[0] if hole else size
    assert holes.next_hole(inode, offset) == (None if offset >= size else expected)


def test_a_hole_of_many_gibibytes_is_passed_over():
    far = 5 << 30
    inode = file_of(far + 20, [(0, 10), (far, 10)])
    assert holes.next_data(inode, 10) == far
    assert holes.next_hole(inode, 0) == 10
    assert holes.next_hole(inode, far) == far + 10


def test_data_that_goes_on_over_a_gibibyte_is_one_piece():
    step = 1 << 30
    inode = file_of(3 * step, [(0, 3 * step)])
    assert holes.next_hole(inode, 5) == 3 * step
    assert holes.next_data(inode, 3 * step - 1) == 3 * step - 1
    assert holes.next_data(inode, 1 << 63) is None
