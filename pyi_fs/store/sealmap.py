"""The map of a sealed segment: which part of which chunk each kept byte of it is.

File: extent entries (`model/extent.py`) whose file offsets are offsets in the segment and whose
kind is chunk, then XXH3-64 of them (u64, little endian). A byte that is in no entry was reachable
through no ref when the segment was sealed.
"""

import struct

from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptSegmentError
from pyi_fs.model.extent import ENTRY_BYTES, Extent, ExtentList, from_extents, iterate, pack

_CHECKSUM = struct.Struct("<Q")


def encode(pieces: list[Extent]) -> bytes:
    """Returns the file of a map; `pieces` sorted and disjoint."""
    body = b"".join(pack(piece) for piece in pieces)
    return body + _CHECKSUM.pack(xxh3_64_intdigest(body))


def decode(data: bytes, file: str) -> ExtentList:
    """Returns the map's pieces; `CorruptSegmentError` naming `file` if it is damaged."""
    body, tail = data[:-8], data[-8:]
    if (
        len(data) < 8
        or len(body) % ENTRY_BYTES
        or _CHECKSUM.unpack(tail)[0] != xxh3_64_intdigest(body)
    ):
        raise CorruptSegmentError(file, 0, "a seal map", "damage")
    pieces, end = list(iterate(body)), 0
    for piece in pieces:
        # A part of a piece has to fit an entry as well.
        if piece.file_offset < end or max(piece.end, piece.source_offset + piece.length) >> 63:
            raise CorruptSegmentError(file, 0, "sorted, disjoint pieces", "damage")
        end = piece.end
    return from_extents(pieces)
