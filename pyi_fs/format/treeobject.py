"""Tree objects: a sealed directory as content-addressed bytes.

The object of the root is a tree's *content root*.

An object says what is in a directory to who reads it: names, modes, extended attributes and
content; no inode numbers, owners or times, which are in the base table. So equal roots are equal
contents, whatever workspace or store they come from, and two trees differ only below objects that
differ. An object is a chunk like any other: its id is the BLAKE3 of its bytes.

    object  = MessagePack ["pyi-tree", 1, [entry, ...]]          entries sorted by name as bytes
    entry   = [name: bin, mode: int (with type bits), xattrs: [[name, value], ...], content]
    content = of a file: [size, [[chunk id or nil for a hole, length], ...]] where the chunks are
    those of the whole content, cut from its
              beginning; of a directory: its object's id; of a symlink: its target (bin); of a
              device: its number; else nil
"""

import stat
from typing import Any

import msgspec

from pyi_fs.errors import CorruptTreeObjectError
from pyi_fs.format.record import UNDECODABLE
from pyi_fs.ids import ChunkId, TreeObjectId
from pyi_fs.model import bounds

_MAGIC = "pyi-tree"
_VERSION = 1


class FileContent(msgspec.Struct, frozen=True, array_like=True):
    """A regular file: `pieces` cover `[0, size)`; None is a hole."""

    size: bounds.FileBytes
    pieces: tuple[tuple[ChunkId | None, bounds.FileBytes], ...]


class TreeEntry(msgspec.Struct, frozen=True, array_like=True):
    """One name of a directory.

    `content`: `FileContent`, an object's id, a target, a device number, or None, by the type in
    `mode`.
    """

    name: bounds.Name
    mode: bounds.Mode
    xattrs: tuple[tuple[bytes, bytes], ...]
    content: Any


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, int, tuple[TreeEntry, ...]]).decode


def encode_tree_object(entries: list[TreeEntry]) -> bytes:
    """Returns the bytes of a directory's object; the order of `entries` does not matter."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    assert len({entry.name for entry in ordered}) == len(ordered), "BUG: a name twice"
    return _encode((_MAGIC, _VERSION, ordered))


def decode_tree_object(data: bytes, object_id: TreeObjectId) -> list[TreeEntry]:
    """Returns the entries of an object.

    `CorruptTreeObjectError` naming `object_id` if it is not one.
    """
    try:
        magic, version, entries = _decode(data)
        checked = [_checked(entry) for entry in entries]
    except (*UNDECODABLE, ValueError) as error:
        raise CorruptTreeObjectError(object_id.hex(), 0, "a tree object", str(error)) from error
    names = [entry.name for entry in checked]
    if magic != _MAGIC or version != _VERSION or names != sorted(set(names)):
        raise CorruptTreeObjectError(
            object_id.hex(), 0, f"{_MAGIC} {_VERSION}", f"{magic} {version}"
        )
    return checked


def _checked(entry: TreeEntry) -> TreeEntry:
    """Returns an entry with its content as the type its mode says.

    `ValueError`, `ValidationError`.
    """
    if entry.name in (b".", b"..") or b"/" in entry.name or b"\0" in entry.name:
        raise ValueError(f"not a name: {entry.name!r}")
    kind = stat.S_IFMT(entry.mode)
    wanted: Any
    if kind == stat.S_IFREG:
        wanted = FileContent
    elif kind in (stat.S_IFDIR, stat.S_IFLNK):
        wanted = bytes
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        wanted = int
    else:
        wanted = type(None)
    content = msgspec.convert(entry.content, wanted)
    if kind == stat.S_IFREG and sum(length for _, length in content.pieces) != content.size:
        raise ValueError("pieces that are not the file's size")
    if kind == stat.S_IFREG and any(chunk and len(chunk) != 32 for chunk, _ in content.pieces):
        raise ValueError("a chunk's id has 32 bytes")
    if kind == stat.S_IFDIR and len(content) != 32:
        raise ValueError("an object id has 32 bytes")
    return msgspec.structs.replace(entry, content=content)
