"""The immutable tree: persistent maps of what changed, over a base.

A `Tree` is a value: nothing in it is ever altered, editing (`model/edit.py`) returns another that
shares almost everything. The base is a mapped table (`format/table.py`) or another tree: a tree
keeps the protocol of a base, so freezing one under a new, empty overlay is one object. Invariants
are in `model/check.py`.

    inodes:      Map[InodeNumber, Inode | None]     None: removed
    directories: Map[InodeNumber, Map[bytes, int]]  name -> number, 0: removed; differences only
    unlinked:    Map[InodeNumber, None]             nlink 0, perhaps held; all, not differences
"""

from collections.abc import Iterator
from typing import Protocol

from immutables import Map

from pyi_fs.errors import CorruptTreeError, NotADirectoryInTreeError, NotFoundError
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.inode import Inode

_WHITEOUT = InodeNumber(0)
Names = Map[bytes, InodeNumber]


class Base(Protocol):
    """What lies under an overlay; immutable. Implemented by tables and by trees."""

    @property
    def last_inode(self) -> InodeNumber:
        """Returns a number that no inode of the base exceeds."""

    @property
    def inode_count(self) -> int:
        """Returns about how many inodes there are (exact for a table)."""

    def inode(self, number: InodeNumber) -> Inode | None:
        """Returns the record, or None."""

    def lookup(self, directory: InodeNumber, name: bytes) -> InodeNumber | None:
        """Returns the number a dentry points at, or None."""

    def entries(self, directory: InodeNumber) -> Iterator[tuple[bytes, InodeNumber]]:
        """Yields the dentries of a directory; the order is the same at every call."""

    def numbers(self) -> Iterator[InodeNumber]:
        """Yields every inode number, unlinked ones included."""

    def unlinked_numbers(self) -> Iterator[InodeNumber]:
        """Yields the inodes with no dentry."""


class EmptyBase:
    """The base under the first tree of a workspace."""

    last_inode = InodeNumber(0)
    inode_count = 0

    def inode(self, number: InodeNumber) -> Inode | None:  # noqa: ARG002
        """Returns None."""
        return None

    def lookup(self, directory: InodeNumber, name: bytes) -> InodeNumber | None:  # noqa: ARG002
        """Returns None."""
        return None

    def entries(self, directory: InodeNumber) -> Iterator[tuple[bytes, InodeNumber]]:  # noqa: ARG002
        """Yields nothing."""
        return iter(())

    def numbers(self) -> Iterator[InodeNumber]:
        """Yields nothing."""
        return iter(())

    def unlinked_numbers(self) -> Iterator[InodeNumber]:
        """Yields nothing."""
        return iter(())


class Tree:
    """The whole namespace of a branch or snapshot at one instant."""

    __slots__ = ("base", "directories", "inodes", "last_inode", "unlinked")

    def __init__(
        self,
        base: Base,
        inodes: "Map[InodeNumber, Inode | None]",
        directories: "Map[InodeNumber, Names]",
        unlinked: "Map[InodeNumber, None]",
        last_inode: InodeNumber,
    ) -> None:
        """Puts the parts together; use `over` or `model/edit.py`."""
        self.base = base
        self.inodes = inodes
        self.directories = directories
        self.unlinked = unlinked
        self.last_inode = last_inode

    @property
    def inode_count(self) -> int:
        """Returns an upper bound on the inodes, as the base's count and the overlay's together."""
        return self.base.inode_count + len(self.inodes)

    def inode(self, number: InodeNumber) -> Inode | None:
        """Returns the record, or None. 0.1 us in the overlay, 2-3 us in a table."""
        found = self.inodes.get(number, _WHITEOUT)
        if found is not _WHITEOUT:
            return found  # type: ignore[return-value]
        return self.base.inode(number) if number <= self.base.last_inode else None

    def lookup(self, directory: InodeNumber, name: bytes) -> InodeNumber | None:
        """Returns the inode number a name of a directory points at, or None."""
        names = self.directories.get(directory)
        if names is not None:
            child = names.get(name)
            if child is not None:
                return child or None
        return self.base.lookup(directory, name) if directory <= self.base.last_inode else None

    def entries(self, directory: InodeNumber) -> Iterator[tuple[bytes, InodeNumber]]:
        """Yields the dentries of a directory (without `.` and `..`).

        The order is the same at every call.
        """
        names = self.directories.get(directory)
        if directory <= self.base.last_inode:
            if names is None:
                yield from self.base.entries(directory)
                return
            for name, child in self.base.entries(directory):
                if name not in names:
                    yield name, child
        if names is not None:
            for name, child in names.items():
                if child:
                    yield name, child

    def has_entries(self, directory: InodeNumber) -> bool:
        """Returns whether a directory is not empty."""
        return next(self.entries(directory), None) is not None

    def numbers(self) -> Iterator[InodeNumber]:
        """Yields every inode number, unlinked ones included."""
        for number in self.base.numbers():
            if number not in self.inodes:
                yield number
        for number, inode in self.inodes.items():
            if inode is not None:
                yield number

    def unlinked_numbers(self) -> Iterator[InodeNumber]:
        """Yields the inodes with no dentry."""
        yield from self.unlinked

    def existing(self, number: InodeNumber) -> Inode:
        """Returns the record; `NotFoundError` if there is none."""
        inode = self.inode(number)
        if inode is None:
            raise NotFoundError(f"no inode {number}")
        return inode

    def named(self, name: bytes, number: InodeNumber) -> Inode:
        """Returns the record that a dentry points at; `CorruptTreeError` if there is none."""
        inode = self.inode(number)
        if inode is None:
            raise CorruptTreeError(f"{name!r} points at inode {number}, which is not there")
        return inode

    def resolve(self, path: bytes) -> InodeNumber:
        """Returns the inode at a path from the root; follows no symlinks.

        `NotFoundError`, `NotADirectoryInTreeError`.
        """
        number = ROOT_INODE
        for name in path.split(b"/"):
            if name in (b"", b"."):
                continue
            inode = self.existing(number)
            if not inode.is_directory:
                raise NotADirectoryInTreeError(f"not a directory on the way: {path!r}")
            child = inode.parent if name == b".." else self.lookup(number, name)
            if child is None:
                raise NotFoundError(f"no such file: {path.decode(errors='backslashreplace')}")
            number = child
        return number

    def path_of(self, directory: InodeNumber, name: bytes) -> bytes | None:
        """Returns the path of a dentry, without a leading slash.

        None if its directory is not connected to the root.
        """
        parts = [name] if name else []
        for inode in self.upward(directory):
            if inode is None or inode.nlink == 0:
                return None
            parts.append(inode.name)
        return b"/".join(reversed(parts))

    def upward(self, directory: InodeNumber) -> Iterator[Inode | None]:
        """Yields the records from a directory up to the root, that of the root left out.

        The last is None where the way ends elsewhere. `CorruptTreeError` if it has no end: a base
        table is looked at in places, so it may go in a circle and nobody has noticed.
        """
        mark, steps = ROOT_INODE, 0
        while directory != ROOT_INODE:
            inode = self.inode(directory)
            yield inode
            if inode is None:
                return
            directory = inode.parent
            if directory == mark != ROOT_INODE:
                raise CorruptTreeError(f"inode {directory} is below itself")
            # Brent's way to find a circle: nothing kept but one number, left behind at each power
            # of two.
            steps += 1
            if not steps & (steps - 1):
                mark = directory

    def paths(self, number: InodeNumber) -> list[bytes]:
        """Returns all paths of an inode: one for each hard link; none if it is unlinked."""
        inode = self.inode(number)
        if inode is None:
            return []
        if number == ROOT_INODE:
            return [b""]
        found = (self.path_of(parent, name) for parent, name in inode.dentries())
        return [path for path in found if path is not None]

    def walk(
        self, directory: InodeNumber = ROOT_INODE, prefix: bytes = b""
    ) -> Iterator[tuple[bytes, InodeNumber, Inode]]:
        """Yields (path, number, record) of all below a directory, parents first, names sorted."""
        stack = [(prefix, directory)]
        walked: set[InodeNumber] = set()
        while stack:
            path, number = stack.pop()
            if number in walked:
                raise CorruptTreeError(f"inode {number} is in two directories, or below itself")
            walked.add(number)
            children = sorted(self.entries(number))
            below = []
            for name, child in children:
                inode = self.named(name, child)
                child_path = path + b"/" + name if path else name
                yield child_path, child, inode
                if inode.is_directory:
                    below.append((child_path, child))
            stack.extend(reversed(below))


def over(base: Base) -> Tree:
    """Returns the tree that equals a base: an empty overlay on it. O(unlinked inodes)."""
    unlinked = (
        base.unlinked if isinstance(base, Tree) else Map(dict.fromkeys(base.unlinked_numbers()))
    )
    return Tree(base, Map(), Map(), unlinked, base.last_inode)


def on_base(tree: Tree, base: Base) -> Tree:
    """Returns the tree with an equal base: a checkpoint's table for a frozen tree. O(1)."""
    return Tree(base, tree.inodes, tree.directories, tree.unlinked, tree.last_inode)


def root_only(mode: int, uid: int, gid: int, time_ns: int) -> Tree:
    """Returns the tree of a new, empty workspace: its root directory."""
    root = Inode(mode, 2, uid, gid, 0, time_ns, time_ns, time_ns, time_ns, ROOT_INODE, b"")
    return Tree(EmptyBase(), Map({ROOT_INODE: root}), Map(), Map(), ROOT_INODE)
