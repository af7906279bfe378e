"""Which bytes of a tree a mutation takes out of it.

What the store may give back if nothing else reaches them.
"""

from collections.abc import Collection

from pyi_fs import limits
from pyi_fs.ids import InodeNumber
from pyi_fs.model.mutation import (
    FALLOCATE_PUNCH_HOLE,
    Adopt,
    Allocate,
    Graft,
    Mutation,
    Reap,
    Remove,
    RemoveXattr,
    SetAttributes,
    Share,
    Write,
)
from pyi_fs.model.tree import Tree

MAY_SUPERSEDE = (Write, SetAttributes, Allocate, Share, Reap)
"""Every other mutation leaves the bytes of all inodes where they are."""


def gives_back(mutation: Mutation) -> bool:
    """Returns whether a mutation is made to hold less: it has to be possible on a full disk."""
    match mutation:
        case Remove() | Reap() | RemoveXattr() | SetAttributes(size=int()):
            return True
        case Allocate(flags=flags):
            return bool(flags & FALLOCATE_PUNCH_HOLE)
        case _:
            return False


def with_other_bytes(mutation: Mutation) -> Collection[InodeNumber]:
    """Returns the inodes that may hold bytes after a mutation which they did not hold before."""
    match mutation:
        case Write() | SetAttributes() | Allocate() | Share() | Adopt():
            return (mutation.number,)
        case Graft():
            return [number for number, inode in mutation.inodes if inode is not None]
        case _:
            return ()


def superseded(old: Tree, mutation: Mutation) -> list[tuple[InodeNumber, int, int]]:
    """Returns (inode, start, end) of the ranges whose old bytes a mutation takes away."""
    match mutation:
        case Write() | Share():
            return [(mutation.number, mutation.offset, mutation.offset + mutation.length)]
        case SetAttributes(size=int(size)):
            return [(mutation.number, size, limits.FILE_BYTES_MAX)]
        case Allocate(flags=flags) if flags & ~1:
            return [(mutation.number, mutation.offset, mutation.offset + mutation.length)]
        case Reap():
            return [
                (number, 0, limits.FILE_BYTES_MAX)
                for number in mutation.numbers
                if number in old.unlinked
            ]
        case _:
            return []
