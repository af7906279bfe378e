"""A reader gives a file's bytes wherever they are: scratch, chunks, holes; never other bytes."""

import pytest

from pyi_fs.engine.reader import Reader
from pyi_fs.errors import (
    CorruptSegmentError,
)
from pyi_fs.model import extent
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import SetAttributes
from pyi_fs.store import layout
from tests.support.engine_rig import noise
from tests.support.workspaces import Rig


def inode_of(rig: Rig, path: str) -> Inode:
    return rig.main.tree.existing(rig.number(path))


def fresh(rig: Rig) -> Reader:
    return Reader(rig.store.layers, rig.store.chunks)


def patched(rig: Rig) -> bytes:
    """Makes a file of overwritten pieces, holes and a hole at its end; returns its content."""
    number = rig.make("f", b"a" * 10)
    rig.write("f", b"bbbb", 4)
    rig.write("f", b"c" * 5, 20)
    rig.commit(SetAttributes(number, None, None, None, 30, None, None, rig.now()))
    return b"aaaabbbbaa" + bytes(10) + b"ccccc" + bytes(5)


def test_every_range_of_pieces_and_holes_reads_as_written(workspace: Rig) -> None:
    content = patched(workspace)
    reader, inode = fresh(workspace), inode_of(workspace, "f")
    for start in range(len(content) + 2):
        for length in range(len(content) + 2 - start):
            expected = content[start : start + length]
            assert reader.read(inode, start, length) == expected
            assert reader.read_nowait(inode, start, length) in (expected, None)
    assert reader.read_all(inode) == content


def test_reading_ends_where_the_file_does(workspace: Rig) -> None:
    workspace.make("f", b"12345")
    workspace.make("empty")
    reader, inode = fresh(workspace), inode_of(workspace, "f")
    assert reader.read(inode, 3, 100) == b"45"
    assert reader.read(inode, 5, 1) == b""
    assert reader.read(inode, 100, 1) == b""
    assert reader.read(inode, 0, 0) == b""
    assert reader.read_all(inode_of(workspace, "empty")) == b""


def test_a_sealed_file_reads_the_same(workspace: Rig) -> None:
    content = patched(workspace)
    inode = inode_of(workspace, "f")
    workspace.snapshot()
    assert workspace.seal_all()
    reader = fresh(workspace)
    assert all(piece.kind == extent.SCRATCH for piece in extent.iterate(inode.extents))
    for start in range(len(content)):
        for length in (1, 7, 40):
            assert reader.read(inode, start, length) == content[start : start + length]


def test_extents_that_name_chunks_read_the_same_part_by_part(workspace: Rig) -> None:
    content = noise(30_000)
    workspace.make("f", content)
    workspace.snapshot()
    workspace.seal_all()
    workspace.checkpoint()
    inode = inode_of(workspace, "f")
    assert {piece.kind for piece in extent.iterate(inode.extents)} == {extent.CHUNK}
    reader = fresh(workspace)
    assert reader.read_all(inode) == content
    for start, length in ((0, 1), (1, 29_998), (12_345, 6_789), (29_999, 10)):
        assert reader.read(inode, start, length) == content[start : start + length]
        assert reader.read_nowait(inode, start, length) == content[start : start + length]


def test_what_would_have_to_be_decoded_is_not_read_without_waiting(workspace: Rig) -> None:
    content = noise(10_000)
    workspace.make("f", content)
    workspace.snapshot()
    workspace.seal_all()
    workspace.checkpoint()
    again = Rig(workspace.storage, "ws").store
    reader, inode = Reader(again.layers, again.chunks), inode_of(workspace, "f")
    assert reader.read_nowait(inode, 0, 100) is None
    assert reader.read(inode, 0, 100) == content[:100]
    assert reader.read_nowait(inode, 0, 100) == content[:100]
    again.close()


def test_wrong_bytes_are_an_error_never_data(workspace: Rig) -> None:
    workspace.make("f", b"right")
    inode = inode_of(workspace, "f")
    (piece,) = extent.iterate(inode.extents)
    file = workspace.storage.open_append(layout.scratch(piece.segment))
    file.write_again(0, b"wrong")
    with pytest.raises(CorruptSegmentError):
        fresh(workspace).read_all(inode)
    file.write_again(0, b"right")
    file.close()
