"""The files of a store without some bytes: what each becomes. Computes, writes nothing.

Every record keeps its length, so that offsets into a journal go on meaning what they meant. Part of
`engine/purge.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from msgspec.structs import replace
from xxhash import xxh3_64_intdigest

from pyi_fs import limits
from pyi_fs.engine.references import open_base
from pyi_fs.errors import StoreError
from pyi_fs.format.record import decode_mutation, encode_frame, encode_mutation, frames
from pyi_fs.format.table_writer import encode_table
from pyi_fs.format.treeobject import TreeEntry
from pyi_fs.ids import ChunkId, InodeNumber, LayerId, SegmentId
from pyi_fs.model import extent, ranges
from pyi_fs.model.edit import apply
from pyi_fs.model.extent import CHUNK, Extent, ExtentList
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Adopt, Create, Graft, Mutation, SetXattr, Share, Write
from pyi_fs.model.ranges import Ranges
from pyi_fs.model.tree import over
from pyi_fs.store import layout, sealmap
from pyi_fs.store.journal import decode_is_header, journal_seed
from pyi_fs.store.storage import Storage

IsWanted = Callable[[InodeNumber], bool]
_FREE_TEXT = (b"user.", b"trusted.")
"""Namespaces of attributes whose values are anybody's; the others are read by the kernel."""


class Replacement(NamedTuple):
    """What is replaced: ranges of segments read as zeros, chunks become others as long."""

    segments: Mapping[SegmentId, Ranges]
    chunks: Mapping[ChunkId, ChunkId]


class NewJournal(NamedTuple):
    """A journal as it will be; `records`: how many of it are others."""

    data: bytes
    records: int


def blank_inode(inode: Inode) -> Inode:
    """Returns a record without what stands in it: a link's target, values of attributes."""
    return with_fields(inode, target=b"-" * len(inode.target), xattrs=_blank(inode.xattrs))


def blank_entry(entry: TreeEntry) -> TreeEntry:
    """Returns an entry of a tree object without what stands in it."""
    content = b"-" * len(entry.content) if entry.mode & 0o170000 == 0o120000 else entry.content
    return TreeEntry(entry.name, entry.mode, _blank(entry.xattrs), content)


def _blank(xattrs: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, _blank_value(name, value)) for name, value in xattrs)


def _blank_value(name: bytes, value: bytes) -> bytes:
    return bytes(len(value)) if name.startswith(_FREE_TEXT) else value


def new_journal(
    storage: Storage, layer: LayerId, is_wanted: IsWanted, replaced: Replacement
) -> NewJournal | None:
    """Returns the journal of a layer as it will be, without a torn tail; None if that is the same.

    `StoreError` if a record cannot keep its length.
    """
    data = bytearray(storage.read(layout.journal(layer)))
    seed = journal_seed(layer)
    start = records = 0
    has_wanted = False
    for end, payload in frames(bytes(data), seed):
        if not decode_is_header(payload):
            mutation = decode_mutation(payload)
            has_wanted = has_wanted or _is_of(mutation, is_wanted)
            new = _new_mutation(mutation, is_wanted, replaced)
            if new != mutation:
                frame = encode_frame(encode_mutation(new), start, seed)
                if len(frame) != end - start:
                    where = f"{layout.journal(layer)}: the record at {start}"
                    raise StoreError(f"{where} cannot be written anew in its place")
                data[start:end] = frame
                records += 1
        start = end
    # What is torn may be a part of what is wanted.
    is_torn = has_wanted and start < len(data)
    return NewJournal(bytes(data[:start]), records) if records or is_torn else None


def _is_of(mutation: Mutation, is_wanted: IsWanted) -> bool:
    number = getattr(mutation, "number", None)
    return number is not None and is_wanted(number)


def _new_mutation(mutation: Mutation, is_wanted: IsWanted, replaced: Replacement) -> Mutation:
    match mutation:
        case Write() if mutation.segment in replaced.segments and is_wanted(mutation.number):
            zeroed = replaced.segments[mutation.segment]
            return replace(mutation, checksums=_checksums(mutation, zeroed))
        case Create() if mutation.target and is_wanted(mutation.number):
            return replace(mutation, target=b"-" * len(mutation.target))
        case SetXattr() if is_wanted(mutation.number):
            return replace(mutation, value=_blank_value(mutation.name, mutation.value))
        case Share():
            return replace(mutation, extents=_swapped(mutation.extents, replaced.chunks))
        case Adopt():
            inode = _new_inode(mutation.inode, is_wanted(mutation.number), replaced)
            return replace(mutation, inode=inode)
        case Graft():
            inodes = tuple(
                (number, inode and _new_inode(inode, is_wanted(number), replaced))
                for number, inode in mutation.inodes
            )
            return replace(mutation, inodes=inodes)
        case _:
            return mutation


def _new_inode(inode: Inode, is_wanted: bool, replaced: Replacement) -> Inode:
    new = blank_inode(inode) if is_wanted else inode
    return with_fields(new, extents=_swapped(new.extents, replaced.chunks))


def _checksums(write: Write, zeroed: Ranges) -> bytes:
    """Returns the checksums of a write's runs: of zeros where a whole run is zeros now."""
    found = []
    for index, offset in enumerate(range(0, write.length, limits.RUN_BYTES_MAX)):
        start = write.source_offset + offset
        length = min(limits.RUN_BYTES_MAX, write.length - offset)
        is_zero = ranges.without(((start, start + length),), zeroed) == ranges.NOTHING
        old = write.checksums[8 * index : 8 * index + 8]
        found.append(_checksum_of_zeros(length) if is_zero else old)
    return b"".join(found)


@cache
def _checksum_of_zeros(length: int) -> bytes:
    return xxh3_64_intdigest(bytes(length)).to_bytes(8, "little")


def _swapped(extents: ExtentList, chunks: Mapping[ChunkId, ChunkId]) -> ExtentList:
    """Returns an extent list, in blocks of the same lengths, that names the other chunks."""
    if isinstance(extents, bytes):
        return _swapped_block(extents, chunks)
    return tuple(_swapped_block(block, chunks) for block in extents)


def _swapped_block(block: bytes, chunks: Mapping[ChunkId, ChunkId]) -> bytes:
    items = list(extent.iterate(block))
    if not any(item.kind == CHUNK and item.chunk in chunks for item in items):
        return block
    return b"".join(extent.pack(_swapped_item(item, chunks)) for item in items)


def _swapped_item(item: Extent, chunks: Mapping[ChunkId, ChunkId]) -> Extent:
    return item._replace(source=chunks.get(item.chunk, item.chunk)) if item.kind == CHUNK else item


def new_table(
    storage: Storage, layer: LayerId, is_wanted: IsWanted, replaced: Replacement
) -> Iterator[bytes] | None:
    """Returns the base table of a layer as it will be, in parts; None if it has none or the same.

    O(its inodes).
    """
    table = open_base(storage, layer)
    if table is None:
        return None
    changed = []
    for number in table.numbers():
        inode = table.inode(number)
        assert inode is not None, f"BUG: no record of inode {number}, which its table lists"
        new = _new_inode(inode, is_wanted(number), replaced)
        if new != inode:
            changed.append((number, new))
    if not changed:
        return None
    return encode_table(apply(over(table), Graft(tuple(changed), ())))


def new_map(storage: Storage, segment: SegmentId, replaced: Replacement) -> bytes | None:
    """Returns the seal map of a segment as it will be; None if it has none or the same."""
    path = layout.seal_map(segment)
    try:
        data = storage.read(path)
    except FileNotFoundError:
        return None
    pieces = list(extent.iterate(sealmap.decode(data, path)))
    if not any(piece.chunk in replaced.chunks for piece in pieces):
        return None
    return sealmap.encode([_swapped_item(piece, replaced.chunks) for piece in pieces])
