"""Frames of the append-only logs (journals, operations logs) and the codecs of what is in them.

    frame   := length u32 | checksum u32 | payload (length bytes)
    checksum = low 32 bits of XXH3-64(payload, seed = (file seed + frame offset) mod 2**64)

Little endian. The seed makes a frame valid only at its own place in its own file. A payload is one
MessagePack array `[tag, field, ...]`. Source: leveldb's log format (one reader that tells a torn
tail from damage); `docs/on-disk-format.md` sections *Frames* and *Journal records*.
"""

import stat
import struct
from collections.abc import Iterator

import msgspec
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import FormatTooNewError, FormatUnknownError
from pyi_fs.ids import Buffer, Position
from pyi_fs.limits import FILE_BYTES_MAX, RUN_BYTES_MAX
from pyi_fs.model import bounds
from pyi_fs.model.extent import (
    BLOCK_ENTRIES_MAX,
    CHUNK,
    ENTRY_BYTES,
    EXTENT_BYTES_MAX,
    SCRATCH,
    ExtentList,
    iterate,
)
from pyi_fs.model.mutation import Adopt, Allocate, Graft, Mutation, SetAttributes, Share, Write
from pyi_fs.model.operation import Operation

FORMAT_VERSION = 1
FRAME_HEADER_BYTES = 8
# A graft of a whole tree is the longest payload there is; a length beyond this is damage, not a
# frame.
FRAME_PAYLOAD_BYTES_MAX = 1 << 30
_FRAME = struct.Struct("<II")
_MASK = (1 << 64) - 1


class LayerHeader(msgspec.Struct, frozen=True, array_like=True, tag=100):
    """First record of a journal.

    Exactly one of `parent` and `root` (mode, uid, gid, time_ns of an empty tree), or neither: then
    `base` exists.

    `boot` is the kernel's boot id: a journal that has seen another boot since may have lost its
    unsynced end.
    """

    version: int
    layer: bounds.Layer
    parent: Position | None
    root: tuple[bounds.Mode, bounds.HalfWord, bounds.HalfWord, bounds.TimeNs] | None
    created_ns: bounds.TimeNs
    boot: str
    workspace: str
    branch: str


# What bytes that are no record raise: the last is a tower of arrays in a field nobody asked for.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_encode = msgspec.msgpack.Encoder().encode
_decode_mutation = msgspec.msgpack.Decoder(Mutation).decode
_decode_operation = msgspec.msgpack.Decoder(Operation).decode
_decode_header = msgspec.msgpack.Decoder(LayerHeader).decode
_decode_any = msgspec.msgpack.Decoder().decode


def encode_frame(payload: bytes, offset: int, seed: int) -> bytes:
    """Returns the frame of a payload that will stand at `offset` of the file with that seed."""
    assert len(payload) <= FRAME_PAYLOAD_BYTES_MAX, "BUG: a frame this long"
    checksum = xxh3_64_intdigest(payload, (seed + offset) & _MASK) & 0xFFFFFFFF
    return _FRAME.pack(len(payload), checksum) + payload


def frames(data: Buffer, seed: int, start: int = 0, base: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yields (end offset in the file, payload) of frames of `data[start:]`, which is at `base`.

    Stops silently at the first thing that is not a whole, valid frame: the caller knows whether
    that is a torn tail (normal) or lies before the last sync (an alarm).
    """
    end = len(data)
    view = memoryview(data)
    while start + FRAME_HEADER_BYTES <= end:
        length, checksum = _FRAME.unpack_from(view, start)
        stop = start + FRAME_HEADER_BYTES + length
        if length == 0 or stop > end:
            return
        payload = bytes(view[start + FRAME_HEADER_BYTES : stop])
        if xxh3_64_intdigest(payload, (seed + base + start) & _MASK) & 0xFFFFFFFF != checksum:
            return
        yield base + stop, payload
        start = stop


def tail_of(data: bytes, end: int) -> str:
    """Returns what follows the last valid frame, which ends at `end`.

    `nothing`, a `torn` frame that is longer than the file, as a killed writer leaves it, or
    `damage`.
    """
    rest = len(data) - end
    if rest == 0:
        return "nothing"
    stop = FRAME_HEADER_BYTES + int.from_bytes(data[end : end + 4], "little")
    return "torn" if rest < FRAME_HEADER_BYTES or stop > rest else "damage"


def tail_after_power_loss(data: bytes, end: int) -> str:
    """Returns what `tail_of` does, where a power loss is possible as well.

    Then a file may have the length it was given and zeros where its bytes were not yet written:
    these count as missing.
    """
    written = max(end, len(data.rstrip(b"\0")))
    tail = tail_of(data[:written], end)
    return "torn" if tail == "nothing" and len(data) > end else tail


def encode_mutation(mutation: Mutation) -> bytes:
    """Returns the payload of a mutation."""
    return _encode(mutation)


def decode_mutation(payload: bytes) -> Mutation:
    """Returns the mutation of a valid frame.

    `FormatUnknownError` if this version does not know it.
    """
    try:
        mutation: Mutation = _decode_mutation(payload)
    except UNDECODABLE as error:
        raise FormatUnknownError(f"a journal record of an unknown kind: {error}") from error
    if not _is_possible(mutation):
        raise FormatUnknownError(
            f"a journal record that no writer makes: {type(mutation).__name__}"
        )
    return mutation


def _is_possible(mutation: Mutation) -> bool:
    """Returns whether ranges are inside a file and extent lists are whole entries.

    A right checksum says only that somebody wrote it so.
    """
    match mutation:
        case Write() | Allocate():
            fits = _is_range(mutation.offset, mutation.length)
            if type(mutation) is not Write:
                return fits
            count = -(-mutation.length // RUN_BYTES_MAX)
            return (
                fits
                and 0 < mutation.length <= EXTENT_BYTES_MAX
                and len(mutation.checksums) == 8 * count
                and _is_range(mutation.source_offset, mutation.length)
                and 0 <= mutation.segment < 1 << 64
            )
        case Share():
            return _is_range(mutation.offset, mutation.length) and _are_entries(
                mutation.extents, mutation.length
            )
        case SetAttributes():
            return mutation.size is None or _is_range(0, mutation.size)
        case Adopt():
            return _are_entries(mutation.inode.extents, mutation.inode.size)
        case Graft():
            inodes = [inode for _, inode in mutation.inodes if inode is not None]
            return all(_are_entries(inode.extents, inode.size) for inode in inodes)
        case _:
            return True


def _is_range(offset: int, length: int) -> bool:
    return offset >= 0 and length >= 0 and offset + length <= FILE_BYTES_MAX


def _are_entries(extents: ExtentList, size: int) -> bool:
    """Returns whether an extent list is whole entries, sorted, disjoint and inside `[0, size)`."""
    if not are_blocks(extents):
        return False
    end = 0
    for item in iterate(extents):
        if item.file_offset < end or not item.length or item.end > size:
            return False
        if item.kind not in (SCRATCH, CHUNK) or item.source_offset >= 1 << 62:
            return False
        if item.kind == SCRATCH and any(item.source[8:]):
            return False
        end = item.end
    return True


def are_blocks(extents: ExtentList) -> bool:
    """Returns whether an extent list is one block, or two or more that are not empty."""
    if isinstance(extents, bytes):
        return not len(extents) % ENTRY_BYTES
    most = BLOCK_ENTRIES_MAX * ENTRY_BYTES
    sizes = [len(block) for block in extents]
    return len(sizes) > 1 and all(0 < size <= most and not size % ENTRY_BYTES for size in sizes)


def encode_operation(operation: Operation) -> bytes:
    """Returns the payload of an operation."""
    return _encode(operation)


def decode_operation(payload: bytes) -> Operation:
    """Returns the operation of a valid frame.

    `FormatUnknownError` if this version does not know it.
    """
    try:
        operation: Operation = _decode_operation(payload)
    except UNDECODABLE as error:
        raise FormatUnknownError(f"an operations log record of an unknown kind: {error}") from error
    return operation


def encode_header(header: LayerHeader) -> bytes:
    """Returns the payload of a layer's header."""
    return _encode(header)


def decode_header(payload: bytes) -> LayerHeader:
    """Returns a layer's header.

    `FormatTooNewError` if a later version wrote it, `FormatUnknownError` if it is none.
    """
    try:
        header = _decode_header(payload)
    except UNDECODABLE as error:
        version = _version_of(payload)
        if version > FORMAT_VERSION:
            raise FormatTooNewError(
                f"written by format version {version}; this program knows {FORMAT_VERSION}"
            ) from error
        raise FormatUnknownError(f"not a layer's header: {error}") from error
    if header.version > FORMAT_VERSION:
        raise FormatTooNewError(
            f"written by format version {header.version}; this program knows {FORMAT_VERSION}"
        )
    if header.parent is not None and not _is_position(header.parent):
        raise FormatUnknownError(f"not a layer's header: it begins at {header.parent}")
    if header.root is not None and not stat.S_ISDIR(header.root[0]):
        raise FormatUnknownError(f"not a layer's header: its root has mode {header.root[0]:o}")
    return header


def _is_position(position: Position) -> bool:
    return 0 <= position.layer < 1 << 40 and 0 <= position.offset < 1 << 62


def _version_of(payload: bytes) -> int:
    """Returns the version that a header of another shape gives, 0 if it is none."""
    try:
        fields = _decode_any(payload)
    except UNDECODABLE:
        return 0
    is_header = isinstance(fields, list) and len(fields) > 1 and fields[0] == 100
    return fields[1] if is_header and isinstance(fields[1], int) else 0
