"""Rows of a chunk index that no pack stands behind."""

from blake3 import blake3

from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId, PackId


def pack_id(number: int) -> PackId:
    """Returns the id of a made-up pack."""
    return PackId(blake3(b"pack %d" % number).digest())


def chunk_id(number: int) -> ChunkId:
    """Returns the id of a made-up chunk."""
    return ChunkId(blake3(b"chunk %d" % number).digest())


def entry(number: int, offset: int = 16) -> PackEntry:
    """Returns where a made-up chunk is in a pack."""
    return PackEntry(chunk_id(number), offset, 100, 50, 1)
