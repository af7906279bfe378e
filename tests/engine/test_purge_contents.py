"""What a file will hold is told before the bytes go, and is the same after it."""

from pathlib import Path

from blake3 import blake3

from pyi_fs.engine.purge_contents import NewContents
from pyi_fs.engine.store import Store
from pyi_fs.format.treeobject import FileContent
from pyi_fs.ids import ChunkId, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.inode import Inode
from pyi_fs.store.chunker import chunks
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything

DATA = noise(300_000)


def filled(store: Store) -> tuple[Inode, SegmentId]:
    """Returns a file of one segment, and the segment; another one stands before it."""
    with written(store, "a") as (_, branch):
        put(branch, b"before", noise(5_000, "before"))
        number = put(branch, b"f", DATA)
        (segment,) = store.layers.segments(branch.position.layer)
        return branch.tree.existing(number), segment


def cut(data: bytes) -> FileContent:
    pieces = tuple((ChunkId(blake3(chunk).digest()), len(chunk)) for chunk in chunks([data]))
    return FileContent(len(data), pieces)


def test_nothing_goes(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        inode, _ = filled(store)
        assert NewContents(store, {}, {}).of(inode) == cut(DATA)


def test_ranges_of_a_segment_go(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        inode, segment = filled(store)
        # Offsets in the segment: the last 1,000 bytes before the file, and the first of it.
        gone = {segment: ((4_000, 6_000), (105_000, 205_000), (304_990, 400_000))}
        expected = bytearray(DATA)
        for start, end in ((0, 1_000), (100_000, 200_000), (299_990, 300_000)):
            expected[start:end] = bytes(end - start)
        assert NewContents(store, gone, {}).of(inode) == cut(bytes(expected))


def test_of_chunks_goes_what_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        inode, segment = filled(store)
        seal_everything(store)
        pieces = store.layers.sealed_map(segment)
        assert pieces is not None
        (piece, *_) = extent.overlapping(pieces, 105_000, 106_000)
        assert piece.kind == extent.CHUNK
        start = piece.file_offset - 5_000 - piece.source_offset
        length = len(store.chunks.get(piece.chunk))
        kept = {piece.chunk: ((10, 20), (length - 5, length + 100))}
        expected = bytearray(DATA)
        expected[start : start + 10] = bytes(10)
        expected[start + 20 : start + length - 5] = bytes(length - 25)
        # What a map names counts, not that the segment was zeroed before it went.
        gone = {segment: ((0, 400_000),)}
        assert NewContents(store, gone, kept).of(inode) == cut(bytes(expected))
