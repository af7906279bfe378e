"""`fold(tree, mutation)`: `apply` for mutations that were read and not made.

A mutation that a branch makes is possible by construction: its number is fresh, its graft was
computed from two sound trees. One that comes out of a journal has only a right checksum, which says
that somebody wrote it so. A record that gives a used number away, or hangs a directory below
itself, would make a tree in which going up, or down, never ends. So folding asks first what
`apply` need not ask; the way of a request does not pay for it (decision 0001: a tree is the fold of
its journal, and this is the fold).

Invariant: of a sound tree and any mutation this makes a sound tree (`model/check.py`, but for what
the bytes of segments and chunks are) or raises.
"""

import stat
from collections import Counter
from collections.abc import Callable
from typing import Any

from pyi_fs.errors import CorruptTreeError, RequestError
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.limits import LINKS_MAX
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Adopt, Create, Graft, Mutation
from pyi_fs.model.tree import Tree

_TYPES = frozenset(
    (
        stat.S_IFREG,
        stat.S_IFDIR,
        stat.S_IFLNK,
        stat.S_IFIFO,
        stat.S_IFSOCK,
        stat.S_IFCHR,
        stat.S_IFBLK,
    )
)
_Dentry = tuple[InodeNumber, bytes]


def fold(tree: Tree, mutation: Mutation) -> Tree:
    """Returns the tree after a mutation that a journal holds.

    `CorruptTreeError` if no writer can have written it for this tree.
    """
    check = _BEFORE.get(type(mutation))
    if check is not None:
        check(tree, mutation)
    try:
        after = apply(tree, mutation)
    except RequestError as error:
        raise CorruptTreeError(f"{type(mutation).__name__} is impossible: {error}") from error
    if type(mutation) is Graft:
        _Grafted(tree, after, mutation).check()
    return after


def _check_created(tree: Tree, change: Create) -> None:
    _check_new(tree, change.number, change.mode)


def _check_adopted(tree: Tree, change: Adopt) -> None:
    _check_new(tree, change.number, change.inode.mode)
    _check_fields(change.number, change.inode)


# One look into a table: most records are writes, and are not checked here.
_BEFORE: dict[type, Callable[[Tree, Any], None]] = {Create: _check_created, Adopt: _check_adopted}


def _check_new(tree: Tree, number: InodeNumber, mode: int) -> None:
    if tree.inode(number) is not None or tree.has_entries(number):
        raise CorruptTreeError(f"inode number {number} is used twice")
    if mode & 0o170000 not in _TYPES:
        raise CorruptTreeError(f"inode {number}: mode {mode:o} is of no type")


def _check_fields(number: InodeNumber, inode: Inode) -> None:
    """Only files have extents, only symlinks a target, and what is no file the size of that."""
    if stat.S_IFMT(inode.mode) not in _TYPES:
        raise CorruptTreeError(f"inode {number}: mode {inode.mode:o} is of no type")
    if inode.is_file:
        if inode.target:
            raise CorruptTreeError(f"inode {number}: a file with a target")
    elif inode.extents or inode.size != len(inode.target):
        raise CorruptTreeError(f"inode {number}: has bytes and is no file")


class _Grafted:
    """What a graft left, as far as it touched it: O(graft and the depth of its directories)."""

    def __init__(self, before: Tree, after: Tree, graft: Graft) -> None:
        self._before = before
        self._after = after
        self._numbers = [number for number, _ in graft.inodes]
        self._dentries: dict[_Dentry, InodeNumber] = {
            (parent, name): child for parent, name, child in graft.dentries
        }
        self._is_once = len(self._dentries) == len(graft.dentries) and len(
            set(self._numbers)
        ) == len(self._numbers)
        self._on_the_root: set[InodeNumber] = {ROOT_INODE}

    def check(self) -> None:
        if not self._is_once:
            raise CorruptTreeError("Graft is impossible: a number or a name stands in it twice")
        root = self._after.inode(ROOT_INODE)
        if root is None or not root.is_directory or root.nlink == 0:
            raise CorruptTreeError("Graft is impossible: the root goes")
        for number in self._numbers:
            self._check_record(number)
        for (parent, name), child in self._dentries.items():
            self._check_dentry(parent, name, child)
        self._check_counts()
        for number in self._directories():
            self._check_way_up(number)

    def _check_record(self, number: InodeNumber) -> None:
        """Its fields fit its type, and its dentries are there; those it had and lost are not."""
        old, new = self._before.inode(number), self._after.inode(number)
        named = new.dentries() if new is not None else ()
        if new is not None:
            _check_fields(number, new)
            if len(set(named)) != len(named) or len(named) > LINKS_MAX:
                raise CorruptTreeError(f"inode {number}: names a dentry twice, or too many")
            if new.is_directory:
                self._check_directory(number, new)
            elif new.nlink != len(named):
                raise CorruptTreeError(f"inode {number}: nlink {new.nlink}, names {len(named)}")
        if number == ROOT_INODE:
            return
        for parent, name in named:
            if self._after.lookup(parent, name) != number:
                raise CorruptTreeError(f"inode {number}: is not there as {name!r}")
        for parent, name in old.dentries() if old is not None else ():
            if (parent, name) not in named and self._after.lookup(parent, name) == number:
                raise CorruptTreeError(f"inode {number}: is still there as {name!r}")

    def _check_directory(self, number: InodeNumber, new: Inode) -> None:
        if new.links:
            raise CorruptTreeError(f"inode {number}: a directory has one name")
        if new.nlink == 0 and self._after.has_entries(number):
            raise CorruptTreeError(f"inode {number}: has entries and is unlinked")
        if number == ROOT_INODE and (new.parent, new.name) != (ROOT_INODE, b""):
            raise CorruptTreeError("the root has a name")

    def _check_dentry(self, parent: InodeNumber, name: bytes, child: InodeNumber) -> None:
        """It is valid, points at a record that names it, and nobody else's record does."""
        if name in (b".", b"..") or b"/" in name or b"\0" in name:
            raise CorruptTreeError(f"not a name: {name!r}")
        directory = self._after.inode(parent)
        if child:
            inode = self._after.inode(child)
            if directory is None or not directory.is_directory or directory.nlink == 0:
                raise CorruptTreeError(f"{name!r} is in {parent}, which is no directory")
            if inode is None or (parent, name) not in inode.dentries() or child == ROOT_INODE:
                raise CorruptTreeError(f"{name!r} points at {child}, which has other names")
        gone = self._before.lookup(parent, name)
        left = self._after.inode(gone) if gone is not None and gone != child else None
        if left is not None and (parent, name) in left.dentries():
            raise CorruptTreeError(f"inode {gone}: is not there any more as {name!r}")

    def _check_counts(self) -> None:
        """`nlink` of each directory is what it was, and the subdirectories that came and went."""
        expected: Counter[InodeNumber] = Counter()
        for (parent, name), child in self._dentries.items():
            gone = self._before.lookup(parent, name)
            expected[parent] += self._is_directory(self._after, child)
            expected[parent] -= self._is_directory(self._before, gone)
        for number in {*expected, *self._numbers}:
            old, new = self._before.inode(number), self._after.inode(number)
            if old is not None and new is not None and old.is_directory != new.is_directory:
                raise CorruptTreeError(f"inode {number}: changes between file and directory")
            if new is None or not new.is_directory or new.nlink == 0:
                continue
            start = old.nlink if old is not None and old.nlink else 2
            if new.nlink != start + expected[number] or new.nlink > LINKS_MAX:
                raise CorruptTreeError(
                    f"inode {number}: nlink {new.nlink} and {start + expected[number] - 2} below"
                )

    @staticmethod
    def _is_directory(tree: Tree, number: InodeNumber | None) -> bool:
        inode = tree.inode(number) if number else None
        return inode is not None and inode.is_directory

    def _directories(self) -> set[InodeNumber]:
        """Returns the directories that stand elsewhere now, or for the first time."""
        numbers = {*self._numbers, *(child for child in self._dentries.values() if child)}
        return {number for number in numbers if self._is_directory(self._after, number)}

    def _check_way_up(self, number: InodeNumber) -> None:
        """Going up from a linked directory ends at the root."""
        start = self._after.inode(number)
        if start is None or start.nlink == 0:
            return
        above: set[InodeNumber] = set()
        while number not in self._on_the_root:
            inode = self._after.inode(number)
            if number in above or inode is None or not inode.is_directory or inode.nlink == 0:
                raise CorruptTreeError(f"inode {number}: is not below the root")
            above.add(number)
            number = inode.parent
        self._on_the_root |= above
