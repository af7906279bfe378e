"""Paths of the API: from what callers write to a place in a tree.

A path is relative to the root of the workspace; a leading slash changes nothing. Symlinks and `..`
are followed inside the tree, as in a `chroot`: there is no way out. Source: path_resolution(7).
"""

import errno
import os
from typing import NamedTuple

from pyi_fs.errors import (
    InvalidArgumentError,
    NotADirectoryInTreeError,
    NotFoundError,
)
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.tree import Tree

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

SYMLINKS_MAX = 40
"""As the kernel (MAXSYMLINKS): a longer way is a circle."""


class Place(NamedTuple):
    """Where a path leads: a name in a directory, and the inode there if there is one.

    `name` is empty for the root and for what ends in `..`: it is `number` then, and has no name
    that could be made or removed.
    """

    parent: InodeNumber
    name: bytes
    number: InodeNumber | None

    def free_name(self) -> bytes:
        """Returns the name; `InvalidArgumentError` for a place that has none of its own."""
        if not self.name:
            raise InvalidArgumentError("the root, '.' and '..' cannot be made, moved or removed")
        return self.name


def encoded(path: AnyPath) -> bytes:
    """Returns a path as bytes; `ValueError` for one with a NUL, as Python's own calls."""
    found = os.fsencode(path)
    if b"\0" in found:
        raise ValueError("embedded null byte")
    return found


def place_of(tree: Tree, path: bytes, *, follow: bool = True) -> Place:
    """Returns where a path leads.

    `follow`: what the last symlink points at rather than the symlink.

    `NotFoundError` if a directory on the way is missing, `NotADirectoryInTreeError`; `OSError`
    (`ELOOP`) after `SYMLINKS_MAX` symlinks.
    """
    pending = _names(path)
    wants_directory = _ends_as_directory(path)
    directory = ROOT_INODE
    symlinks = 0
    while pending:
        name = pending.pop()
        inode = tree.existing(directory)
        if not inode.is_directory:
            raise NotADirectoryInTreeError("not a directory on the way")
        if name == b"..":
            directory = inode.parent
            continue
        number = tree.lookup(directory, name)
        found = tree.existing(number) if number is not None else None
        if found is not None and found.is_symlink and (pending or follow or wants_directory):
            symlinks += 1
            if symlinks > SYMLINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))
            wants_directory |= not pending and _ends_as_directory(found.target)
            directory = ROOT_INODE if found.target.startswith(b"/") else directory
            pending += _names(found.target)
        elif not pending:
            if wants_directory and found is not None and not found.is_directory:
                raise NotADirectoryInTreeError("not a directory")
            return Place(directory, name, number)
        elif number is None:
            raise NotFoundError(f"no such directory: {os.fsdecode(name)}")
        else:
            directory = number
    return Place(tree.existing(directory).parent, b"", directory)


def existing(tree: Tree, path: bytes, *, follow: bool = True) -> InodeNumber:
    """Returns the inode at a path; as `place_of`, and `NotFoundError` if there is none."""
    number = place_of(tree, path, follow=follow).number
    if number is None:
        raise NotFoundError("no such file or directory")
    return number


def _names(path: bytes) -> list[bytes]:
    """Returns the names of a path, last first."""
    return [name for name in reversed(path.split(b"/")) if name not in (b"", b".")]


def _ends_as_directory(path: bytes) -> bool:
    return path.endswith((b"/", b"/."))
