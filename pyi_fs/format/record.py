"""Frames of the append-only logs (journals, operations logs) and the codecs of what is in them.

    frame   := length u32 | checksum u32 | payload (length bytes)
    checksum = low 32 bits of XXH3-64(payload, seed = (file seed + frame offset) mod 2**64)

Little endian. The seed makes a frame valid only at its own place in its own file. A payload is one
MessagePack array `[tag, field, ...]`. Source: leveldb's log format (one reader that tells a torn
tail from damage); `docs/on-disk-format.md` sections *Frames* and *Journal records*.
"""

import struct
from collections.abc import Iterator

import msgspec
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import FormatTooNewError, FormatUnknownError
from pyi_fs.ids import Buffer, LayerId, Position
from pyi_fs.model.mutation import Mutation
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
    layer: LayerId
    parent: Position | None
    root: tuple[int, int, int, int] | None
    created_ns: int
    boot: str
    workspace: str
    branch: str


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


def encode_mutation(mutation: Mutation) -> bytes:
    """Returns the payload of a mutation."""
    return _encode(mutation)


def decode_mutation(payload: bytes) -> Mutation:
    """Returns the mutation of a valid frame.

    `FormatUnknownError` if this version does not know it.
    """
    try:
        mutation: Mutation = _decode_mutation(payload)
    except msgspec.MsgspecError as error:
        raise FormatUnknownError(f"a journal record of an unknown kind: {error}") from error
    return mutation


def encode_operation(operation: Operation) -> bytes:
    """Returns the payload of an operation."""
    return _encode(operation)


def decode_operation(payload: bytes) -> Operation:
    """Returns the operation of a valid frame.

    `FormatUnknownError` if this version does not know it.
    """
    try:
        operation: Operation = _decode_operation(payload)
    except msgspec.MsgspecError as error:
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
    except msgspec.MsgspecError as error:
        fields = _decode_any(payload)
        if (
            isinstance(fields, list)
            and len(fields) > 1
            and fields[0] == 100
            and isinstance(fields[1], int)
            and fields[1] > FORMAT_VERSION
        ):
            raise FormatTooNewError(
                f"written by format version {fields[1]}; this program knows {FORMAT_VERSION}"
            ) from error
        raise FormatUnknownError(f"not a layer's header: {error}") from error
    if header.version > FORMAT_VERSION:
        raise FormatTooNewError(
            f"written by format version {header.version}; this program knows {FORMAT_VERSION}"
        )
    return header
