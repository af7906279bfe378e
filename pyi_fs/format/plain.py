"""Plain files: what names them.

A plain file holds all bytes of one sealed file and nothing else, so its name has to say what is in
it. The first half, the *key*, is known without reading a byte of data; the second, the digest of
the bytes, lets anybody check the file by itself.

    name = KEY "-" CONTENT                     64 hex digits each
    KEY  = BLAKE3 of: "pyi-plain" 00 00 00 version:u32 size:u64 { piece }
    piece = chunk[32] offset:u64 length:u64

The pieces cover the file from its beginning to its end; two neighbours of which the second goes on
in the same chunk where the first ends are one. So the key depends on the chunks alone, not on how
the extents of a tree cut them.

Source: docs/on-disk-format.md, *Plain files*.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from blake3 import blake3

from pyi_fs.ids import ChunkId, ContentDigest, PlainKey

VERSION = 1
_MAGIC = b"pyi-plain\0\0\0"
_HEADER = struct.Struct("<12sIQ")
_PIECE = struct.Struct("<32sQQ")
_DIGITS = 64


class Piece(NamedTuple):
    """`length` bytes of a chunk, from `offset` on."""

    chunk: ChunkId
    offset: int
    length: int


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Returns the same bytes in as few pieces as there can be."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if (
            last is not None
            and last.chunk == piece.chunk
            and last.offset + last.length == piece.offset
        ):
            found[-1] = last._replace(length=last.length + piece.length)
        else:
            found.append(piece)
    return found


def plain_key(pieces: Iterable[Piece], size: int) -> PlainKey:
    """Returns the key of a file of `size` bytes, of which `pieces` are all, in order."""
    digest = blake3(_HEADER.pack(_MAGIC, VERSION, size))
    for piece in joined(pieces):
        digest.update(_PIECE.pack(*piece))
    return PlainKey(digest.digest())


def plain_name(key: PlainKey, content: ContentDigest) -> str:
    """Returns the name of a plain file's directory entry."""
    return f"{key.hex()}-{content.hex()}"


def parsed_name(name: str) -> tuple[PlainKey, ContentDigest] | None:
    """Returns what a name says, or None if it is no plain file's."""
    key, dash, content = name.partition("-")
    if not dash or len(key) != _DIGITS or len(content) != _DIGITS or name != name.lower():
        return None
    try:
        found = PlainKey(bytes.fromhex(key)), ContentDigest(bytes.fromhex(content))
    except ValueError:
        return None
    # As it is written: `fromhex` passes over spaces, and two names would be one file.
    return found if plain_name(*found) == name else None
