"""The invariants of `model/check.py`, looked at only where a sound tree has changed.

Whether a tree that was made from a sound one is sound, too: O(what was changed and the depth of its
directories). No findings: whoever gets a no asks `check` for them, so a no that is wrong costs
time, and a yes must never be wrong.

Why a yes is right. Everything that an invariant says about an inode follows from its record, from
the dentries that point at it and, of a directory, from its own dentries. Where none of these
changed, it holds as before. What changed is in `Changes`, or was reached by a dentry in it, before
or after: those inodes and dentries are looked at again. Below the overlay nothing changes, but an
entry that leaves the overlay bares what is below: so the base has to be sound as well.
"""

from collections import Counter
from collections.abc import Iterable

from pyi_fs import limits
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check, has_sound_fields
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Reap
from pyi_fs.model.touched import Dentry, Touched
from pyi_fs.model.tree import Base, EmptyBase, Tree, over

CHANGES_MAX = 100_000
"""So many inodes and names are noted: beyond it a check of the whole tree costs each no more."""


class Changes:
    """What mutations may have changed: more than `Touched`, which has what somebody can see."""

    def __init__(self) -> None:
        """Starts with nothing changed."""
        self.touched = Touched()
        self.emptied: set[InodeNumber] = set()

    @property
    def are_too_many(self) -> bool:
        """Returns whether something was left out."""
        return len(self.touched.inodes) + len(self.touched.names) > CHANGES_MAX

    def clear(self) -> None:
        """Starts again, with nothing changed."""
        self.touched = Touched()
        self.emptied = set()

    def add(self, mutation: Mutation) -> None:
        """Adds what a mutation changes.

        What a name pointed at is found through the name.
        """
        if self.are_too_many:
            return
        self.touched.add(mutation)
        match mutation:
            case Adopt():
                self.touched.inodes.add(mutation.number)
            case Reap():
                self.touched.inodes.update(mutation.numbers)
                self.emptied.update(mutation.numbers)
            case Graft():
                self.emptied.update(number for number, inode in mutation.inodes if inode is None)
            case _:
                pass


def is_sound_base(base: Base) -> bool:
    """Returns whether a base holds all invariants by itself, or nothing at all. O(base)."""
    return isinstance(base, EmptyBase) or not check(over(base))


def is_still_sound(before: Tree, after: Tree, changes: Changes) -> bool:
    """Returns whether `after` holds all invariants; False if it may not.

    `before` does, and so does the base of both; `changes`: of all mutations between them.
    """
    if after.base is not before.base or changes.are_too_many:
        return False
    if not before.last_inode <= after.last_inode <= limits.INODE_NUMBER_MAX:
        return False
    return _Comparison(before, after, changes).is_sound()


class _Comparison:
    """Two trees, and the inodes and dentries in which they may differ."""

    def __init__(self, before: Tree, after: Tree, changes: Changes) -> None:
        self._before = before
        self._after = after
        self._dentries: set[Dentry] = set(changes.touched.names)
        self._numbers: set[InodeNumber] = {ROOT_INODE, *changes.touched.inodes}
        self._add_emptied(changes.emptied)
        for directory, name in self._dentries:
            for tree in (before, after):
                child = tree.lookup(directory, name)
                if child is not None:
                    self._numbers.add(child)
        self._old = {number: before.inode(number) for number in self._numbers}
        self._new = {number: after.inode(number) for number in self._numbers}
        self._on_the_root: set[InodeNumber] = {ROOT_INODE}

    def _add_emptied(self, emptied: set[InodeNumber]) -> None:
        """Adds all dentries of directories that came or went as a whole."""
        for number in self._numbers:
            came_or_went = self._before.inode(number) is None or self._after.inode(number) is None
            if number in emptied or came_or_went:
                for tree in (self._before, self._after):
                    self._dentries.update((number, name) for name, _ in tree.entries(number))

    def is_sound(self) -> bool:
        root = self._new[ROOT_INODE]
        if root is None or not root.is_directory or root.nlink == 0:
            return False
        if (root.parent, root.name, root.links) != (ROOT_INODE, b"", ()):
            return False
        return (
            all(map(self._is_sound_dentry, self._dentries))
            and all(self._is_sound_record(number, inode) for number, inode in self._new.items())
            and self._are_sound_counts()
            and has_sound_fields({n: one for n, one in self._new.items() if one is not None})
        )

    def _is_sound_dentry(self, dentry: Dentry) -> bool:
        """It is in a linked directory and the record that it points at names it, or it is gone."""
        directory, name = dentry
        base = self._after.base
        is_below = directory <= base.last_inode and base.inode(directory) is None
        if is_below and next(base.entries(directory), None) is not None:
            # Nobody has looked at these names: they belong to nothing in the base.
            return False
        child = _child(self._after, dentry)
        if child is None:
            return True
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            return False
        parent, inode = self._after.existing(directory), self._new[child]
        if not parent.is_directory or parent.nlink == 0:
            return False
        is_named = inode is not None and dentry in inode.dentries()
        return is_named and child != ROOT_INODE and len(name) <= limits.NAME_BYTES_MAX

    def _is_sound_record(self, number: InodeNumber, inode: Inode | None) -> bool:
        """It is reached by the dentries that it names, and by none that it named before."""
        old = self._old[number]
        if old is not None and inode is not None and old.is_directory != inode.is_directory:
            return False
        if (number in self._after.unlinked) != (inode is not None and inode.nlink == 0):
            return False
        named = inode.dentries() if inode is not None and number != ROOT_INODE else ()
        dentries = set(named)
        if len(dentries) != len(named) or any(_child(self._after, one) != number for one in named):
            return False
        if old is not None and number != ROOT_INODE:
            left = (one for one in old.dentries() if one not in dentries)
            if any(_child(self._after, one) == number for one in left):
                return False
        if inode is None:
            return True
        if not 0 < number <= self._after.last_inode:
            return False
        if inode.is_directory:
            has_names = inode.nlink == 0 and self._after.has_entries(number)
            return not has_names and not inode.links and self._is_below_the_root(number, inode)
        is_counted = inode.nlink == len(named) <= limits.LINKS_MAX
        return is_counted and not self._after.has_entries(number)

    def _is_below_the_root(self, number: InodeNumber, inode: Inode | None) -> bool:
        if inode is not None and inode.nlink == 0:
            return True
        above: set[InodeNumber] = set()
        while number not in self._on_the_root:
            inode = self._after.inode(number)
            if number in above or inode is None or not inode.is_directory or inode.nlink == 0:
                return False
            above.add(number)
            number = inode.parent
        self._on_the_root |= above
        return True

    def _are_sound_counts(self) -> bool:
        """`nlink` of each directory is what it was, and the subdirectories that came and went."""
        expected: Counter[InodeNumber] = Counter()
        for dentry in self._dentries:
            expected[dentry[0]] += _is_directory(self._after, dentry)
            expected[dentry[0]] -= _is_directory(self._before, dentry)
        return all(self._is_counted(one, expected[one]) for one in {*expected, *self._numbers})

    def _is_counted(self, number: InodeNumber, difference: int) -> bool:
        old, new = self._before.inode(number), self._after.inode(number)
        if new is None or not new.is_directory or new.nlink == 0:
            return True
        if old is not None and old.nlink:
            start = old.nlink
        else:
            # It had no names that counted, so all that it has came since.
            start, difference = 2, self._subdirectories(number)
        return new.nlink == start + difference and new.nlink <= limits.LINKS_MAX

    def _subdirectories(self, number: InodeNumber) -> int:
        children: Iterable[Inode | None] = (
            self._after.inode(child) for _, child in self._after.entries(number)
        )
        return sum(child is not None and child.is_directory for child in children)


def _child(tree: Tree, dentry: Dentry) -> InodeNumber | None:
    """Returns what a dentry points at; None if its directory has no record.

    What a removed directory had in the base is bare again, and nobody gets there.
    """
    directory, name = dentry
    return tree.lookup(directory, name) if tree.inode(directory) is not None else None


def _is_directory(tree: Tree, dentry: Dentry) -> bool:
    child = _child(tree, dentry)
    inode = tree.inode(child) if child is not None else None
    return inode is not None and inode.is_directory
