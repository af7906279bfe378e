"""A file is cut as its content says, and what is known of an earlier version only saves reading."""

from collections.abc import Callable

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.engine import cutting
from pyi_fs.engine.cutting import Earlier, content_of
from pyi_fs.format.pack import CUT_BYTES_MAX
from pyi_fs.ids import ROOT_INODE, LayerId, segment_id
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode
from pyi_fs.store import chunker
from tests.support.engine_rig import noise

SEGMENT = extent.scratch_source(segment_id(LayerId(1), 0))


class Scratch:
    """A file whose bytes are appended to one segment; counts what is read of it."""

    def __init__(self) -> None:
        self.segment = bytearray()
        self.inode = Inode(0o100644, 1, 0, 0, 0, 0, 0, 0, 0, ROOT_INODE, b"f", extent.EMPTY)
        self.bytes_read = 0

    def write(self, offset: int, data: bytes) -> None:
        if not data:
            return
        new = Extent(offset, len(data), extent.SCRATCH, SEGMENT, len(self.segment))
        self.segment += data
        self._become(
            extent.with_extent(self.inode.extents, new), max(self.inode.size, offset + len(data))
        )

    def punch(self, start: int, end: int) -> None:
        self._become(extent.without_range(self.inode.extents, start, end), self.inode.size)

    def truncate(self, size: int) -> None:
        extents = extent.without_range(self.inode.extents, size, max(size, self.inode.size))
        self._become(extents, size)

    def share(self, start: int, end: int, target: int) -> None:
        """Moves a range, as `copy_file_range` of the file into itself."""
        pieces = extent.overlapping(self.inode.extents, start, end)
        extents, size = self.inode.extents, self.inode.size
        for piece in pieces:
            moved = piece._replace(file_offset=piece.file_offset - start + target)
            extents = extent.with_extent(extents, moved)
            size = max(size, moved.end)
        self._become(extents, size)

    def _become(self, extents: extent.ExtentList, size: int) -> None:
        self.inode = Inode(0o100644, 1, 0, 0, size, 0, 0, 0, 0, ROOT_INODE, b"f", extents)

    def reading(self) -> Callable[[int, int], bytes]:
        inode = self.inode

        def read(offset: int, length: int) -> bytes:
            self.bytes_read += length
            data = bytearray(length)
            for item in extent.overlapping(inode.extents, offset, offset + length):
                source = self.segment[item.source_offset : item.source_offset + item.length]
                data[item.file_offset - offset : item.end - offset] = source
            return bytes(data)

        return read


@pytest.fixture
def small_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes many chunks of few bytes: the smallest sizes that the package takes."""
    monkeypatch.setattr(chunker, "CUT_BYTES_MIN", 64)
    monkeypatch.setattr(chunker, "CUT_BYTES_AVERAGE", 256)
    monkeypatch.setattr(chunker, "CUT_BYTES_MAX", 1024)
    monkeypatch.setattr(cutting, "CUT_BYTES_MAX", 1024)


SPACE = 20_000
# Often the beginning: an empty file has no pieces.
places = st.just(0) | st.integers(0, SPACE)
lengths = st.integers(1, 40) | st.integers(1, 5_000)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, lengths),
        st.tuples(st.just("punch"), places, lengths),
        st.tuples(st.just("truncate"), places, lengths),
        st.tuples(st.just("share"), places, lengths),
    ),
    max_size=6,
)


def play(file: Scratch, steps: list[tuple[str, int, int]], seed: str) -> None:
    for index, (what, place, length) in enumerate(steps):
        if what == "write":
            # Sometimes the same bytes again, or zeros, in which nothing is cut.
            kind = length % 3
            data = bytes(length) if kind == 0 else noise(length, f"{seed}{index}" if kind else "")
            file.write(place, data)
        elif what == "punch":
            file.punch(place, place + length)
        elif what == "truncate":
            file.truncate(place)
        else:
            file.share(place, place + length, (place * 7) % SPACE)


@pytest.mark.usefixtures("small_cuts")
class TestAgainstWholeFiles:
    """Fixtures are shared by the examples on purpose: the sizes are the same for all."""

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(edits, edits)
    def test_an_earlier_version_changes_nothing_but_what_is_read(
        self, before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
    ) -> None:
        file = Scratch()
        file.write(0, noise(12_000, "begin"))
        play(file, before, "before")
        old, known = file.inode, content_of(file.inode, file.reading())
        play(file, after, "after")
        whole = content_of(file.inode, file.reading())
        file.bytes_read = 0
        assert content_of(file.inode, file.reading(), Earlier(old, known, file.inode)) == whole
        assert sum(length for _, length in whole.pieces) == file.inode.size
        if old == file.inode:
            assert file.bytes_read == 0

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(edits)
    def test_data_is_cut_as_the_chunker_cuts_it_each_run_from_its_beginning(
        self, steps: list[tuple[str, int, int]]
    ) -> None:
        file = Scratch()
        play(file, steps, "steps")
        read = file.reading()
        data = read(0, file.inode.size)
        position = 0
        runs: list[tuple[int, int]] = []
        for item in extent.iterate(file.inode.extents):
            if runs and runs[-1][1] == item.file_offset:
                runs[-1] = runs[-1][0], item.end
            else:
                runs.append((item.file_offset, item.end))
        expected: list[tuple[bytes | None, int]] = []
        for start, end in runs:
            if start > position:
                expected.append((None, start - position))
            expected += [
                (blake3(chunk).digest(), len(chunk)) for chunk in chunker.chunks([data[start:end]])
            ]
            position = end
        if position < file.inode.size:
            expected.append((None, file.inode.size - position))
        assert list(content_of(file.inode, read).pieces) == expected


def test_a_small_edit_has_few_bytes_read_wherever_it_is() -> None:
    file = Scratch()
    size = 8 << 20
    file.write(0, noise(size))
    known = content_of(file.inode, file.reading())
    assert file.bytes_read == size
    for place in (0, 1, size // 3, size - 6):
        old = file.inode
        file.write(place, b"edited")
        file.bytes_read = 0
        found = content_of(file.inode, file.reading(), Earlier(old, known, file.inode))
        # The chunk with the edit, and as a rule no other: cuts are found again at once.
        assert file.bytes_read <= 2 * CUT_BYTES_MAX
        changed = set(found.pieces) - set(known.pieces)
        assert 1 <= len(changed) <= 2
        known = found


def test_an_append_has_the_last_chunk_read_and_what_comes_after() -> None:
    file = Scratch()
    file.write(0, noise(3 << 20))
    old, known = file.inode, content_of(file.inode, file.reading())
    file.write(3 << 20, noise(100, "more"))
    file.bytes_read = 0
    found = content_of(file.inode, file.reading(), Earlier(old, known, file.inode))
    assert file.bytes_read <= CUT_BYTES_MAX + 100
    assert found.pieces[: len(known.pieces) - 1] == known.pieces[:-1]
    assert found == content_of(file.inode, file.reading())


def test_data_behind_a_hole_goes_on_where_the_hole_was() -> None:
    """The chunk that the hole cut off is another one, though nothing in it has changed."""
    file = Scratch()
    file.write(0, noise(100_000))
    file.write(200_000, noise(100_000, "behind"))
    old, known = file.inode, content_of(file.inode, file.reading())
    file.write(100_000, noise(50_000, "between"))
    found = content_of(file.inode, file.reading(), Earlier(old, known, file.inode))
    assert found == content_of(file.inode, file.reading())
