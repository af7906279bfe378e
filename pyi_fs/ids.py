"""The numbers and digests that identify things, one type each.

No bare `int` or `bytes` that identifies something crosses a module boundary. A *position* names one
tree for ever (decision 0001): the fold of the journals on the way to it.
"""

from typing import NamedTuple, NewType

InodeNumber = NewType("InodeNumber", int)
"""A file's number inside its workspace; 1 is the root; below 2**32; never reused."""
LayerId = NewType("LayerId", int)
"""One stretch of a branch's writing: 40 random bits, ten hex digits in file names."""
SegmentId = NewType("SegmentId", int)
"""A scratch segment: its layer's id << 24 | its index in the layer."""
ChunkId = NewType("ChunkId", bytes)
"""BLAKE3 of a chunk's bytes, 32 bytes."""
PackId = NewType("PackId", bytes)
"""BLAKE3 of a pack's entries, 32 bytes."""
TreeObjectId = NewType("TreeObjectId", bytes)
"""BLAKE3 of a tree object's bytes, 32 bytes; a chunk like any other."""
PlainKey = NewType("PlainKey", bytes)
"""BLAKE3 of what a plain file is put together from, 32 bytes."""
ContentDigest = NewType("ContentDigest", bytes)
"""BLAKE3 of all bytes of a file, 32 bytes."""
SnapshotId = NewType("SnapshotId", str)
"""Begins with a digit, which a name cannot: `12-3fa9c1`."""
BranchName = NewType("BranchName", str)
WorkspaceName = NewType("WorkspaceName", str)
OperationId = NewType("OperationId", int)
"""Counts a workspace's operations from 1."""
ViewNumber = NewType("ViewNumber", int)
"""0 is the view at a mount's root."""
NodeId = NewType("NodeId", int)
"""What the kernel knows a file of a view by."""

NO_OPERATION = OperationId(0)
"""Stands for no operation where a record has room for one."""

Buffer = bytes | bytearray | memoryview
"""Anything whose bytes can be written without a copy."""

ROOT_INODE = InodeNumber(1)


class Position(NamedTuple):
    """A place in a layer's journal: names the fold of all frames that end at or before `offset`."""

    layer: LayerId
    offset: int


def layer_name(layer: LayerId) -> str:
    """Returns the ten hex digits a layer is called by in file names and messages."""
    return f"{layer:010x}"


def segment_id(layer: LayerId, index: int) -> SegmentId:
    """Returns the id of the layer's segment with that index, which counts from 0."""
    return SegmentId(layer << 24 | index)


def segment_layer(segment: SegmentId) -> LayerId:
    """Returns the layer a segment belongs to."""
    return LayerId(segment >> 24)


def segment_index(segment: SegmentId) -> int:
    """Returns a segment's index in its layer."""
    return segment & 0xFFFFFF
