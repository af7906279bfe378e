"""What a mutation touches: a superset of what differs between the trees before and after it.

Over-reporting is allowed, under-reporting never. Sets of one interval between two refs are joined
along a lineage by their union; `model/diff.py` compares the two trees at just these places.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pyi_fs.ids import InodeNumber
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import (
    Adopt,
    Allocate,
    Create,
    Graft,
    Link,
    Mutation,
    Reap,
    Remove,
    RemoveXattr,
    Rename,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)

Dentry = tuple[InodeNumber, bytes]


class Touched:
    """Inodes and dentries (directory, name) that may differ.

    Grows; the owner is one branch interval.
    """

    __slots__ = ("inodes", "names")

    def __init__(self, inodes: Iterable[InodeNumber] = (), names: Iterable[Dentry] = ()) -> None:
        """Starts from copies of the arguments."""
        self.inodes: set[InodeNumber] = set(inodes)
        self.names: set[Dentry] = set(names)

    def __bool__(self) -> bool:
        """Returns whether anything was touched."""
        return bool(self.inodes or self.names)

    def add(self, mutation: Mutation) -> None:
        """Adds what a mutation touches.

        The inode that a removed name pointed at is found through the name.
        """
        _RULES[type(mutation)](self, mutation)

    def update(self, other: "Touched") -> None:
        """Adds all of another set."""
        self.inodes |= other.inodes
        self.names |= other.names


def _create(touched: Touched, change: Create) -> None:
    touched.names.add((change.parent, change.name))
    touched.inodes.add(change.parent)
    touched.inodes.add(change.number)


def _link(touched: Touched, change: Link) -> None:
    touched.names.add((change.parent, change.name))
    touched.inodes.add(change.parent)
    touched.inodes.add(change.number)


def _remove(touched: Touched, change: Remove) -> None:
    touched.names.add((change.parent, change.name))
    touched.inodes.add(change.parent)


def _rename(touched: Touched, change: Rename) -> None:
    touched.names.add((change.parent, change.name))
    touched.names.add((change.new_parent, change.new_name))
    touched.inodes.add(change.parent)
    touched.inodes.add(change.new_parent)


def _one(
    touched: Touched, change: Write | SetAttributes | Allocate | SetXattr | RemoveXattr | Share
) -> None:
    touched.inodes.add(change.number)


def _none(touched: Touched, change: Reap | Adopt) -> None:
    """Unlinked inodes have no place in a view: nobody can see them come or go."""


def _graft(touched: Touched, change: Graft) -> None:
    touched.inodes.update(number for number, _ in change.inodes)
    touched.names.update((parent, name) for parent, name, _ in change.dentries)


_RULES: dict[type, Callable[[Touched, Any], None]] = {
    Create: _create,
    Link: _link,
    Remove: _remove,
    Rename: _rename,
    Write: _one,
    SetAttributes: _one,
    Allocate: _one,
    SetXattr: _one,
    RemoveXattr: _one,
    Share: _one,
    Reap: _none,
    Adopt: _none,
    Graft: _graft,
}


def content_differs(old: Inode, new: Inode) -> bool:
    """Returns whether two records are different files to who reads them."""
    return (
        old.extents != new.extents
        or old.size != new.size
        or old.target != new.target
        or old.rdev != new.rdev
    )
