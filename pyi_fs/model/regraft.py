"""Restoring one path.

The raw change (`Graft`) that makes a path of the present tree what it is in another tree.

Only directories with something touched below them are looked into. A restored inode keeps its
number if that number is free in the present tree; if it is in use elsewhere (moved away, unlinked
but open) the path gets a copy under a fresh number.

Hard links: names within the path that were one file are one file again. A name comes back as
another name of a file that is still there under a name it had then, within the path or outside, if
that file is what it was; if it was changed, a link would change it outside, so the path gets a
copy. A file that has a name within the path then and now is made what it was, under all its names.
"""

from collections.abc import Callable

from pyi_fs.errors import (
    CorruptTreeError,
    InvalidArgumentError,
    NotADirectoryInTreeError,
    NotFoundError,
)
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.limits import LINKS_MAX
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Graft
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree

_WHITEOUT = InodeNumber(0)


def graft_of(
    present: Tree,
    past: Tree,
    path: bytes,
    touched: Touched,
    time_ns: int,
    fresh: Callable[[], InodeNumber],
) -> Graft:
    """Returns the change that makes `path` of `present` what it is in `past`.

    `touched` covers the trees' difference.

    `fresh` gives unused inode numbers. `NotFoundError` if the path is in neither tree, or its
    directory is not in the present one.
    """
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if not parts or b".." in parts:
        raise InvalidArgumentError("restore of a path needs a path below the root, without '..'")
    return _Regraft(present, past, _above(present, past, touched), time_ns, fresh).run(parts)


def _above(present: Tree, past: Tree, touched: Touched) -> set[InodeNumber]:
    """Returns every directory of either tree that is touched or has something touched below it."""
    found: set[InodeNumber] = set()
    for tree in (present, past):
        starts = {directory for directory, _ in touched.names}
        for number in touched.inodes:
            inode = tree.inode(number)
            if inode is not None:
                starts.add(number)
                starts.update(parent for parent, _ in inode.dentries())
        # Ways up meet: each directory is passed once, however many begin below it.
        passed: set[InodeNumber] = set()
        for number in starts:
            while number not in passed:
                passed.add(number)
                inode = tree.inode(number)
                if inode is None:
                    break
                number = inode.parent
        found |= passed
    return found


class _Regraft:
    def __init__(
        self,
        present: Tree,
        past: Tree,
        above: set[InodeNumber],
        time_ns: int,
        fresh: Callable[[], InodeNumber],
    ) -> None:
        self._present = present
        self._past = past
        self._above = above
        self._time_ns = time_ns
        self._fresh = fresh
        self._records: dict[InodeNumber, Inode] = {}
        self._dentries: dict[tuple[InodeNumber, bytes], InodeNumber] = {}
        # Lists of what is still to do instead of calls within calls: a tree may be deeper than
        # Python's stack.
        self._equal: list[InodeNumber] = []
        self._made_equal: set[InodeNumber] = set()
        self._added: list[tuple[InodeNumber, bytes, InodeNumber]] = []
        # Files that got a fresh record: then -> now. Their other names become names of it.
        self._copies: dict[InodeNumber, InodeNumber] = {}

    def run(self, parts: list[bytes]) -> Graft:
        *directories, name = parts
        parent = self._present.resolve(b"/".join(directories))
        if not self._present.existing(parent).is_directory:
            raise NotADirectoryInTreeError(
                f"not a directory now: {b'/'.join(directories).decode(errors='backslashreplace')}"
            )
        old = self._present.lookup(parent, name)
        new = self._past_number(parts)
        if old is None and new is None:
            raise NotFoundError(
                f"no such path then or now: {b'/'.join(parts).decode(errors='backslashreplace')}"
            )
        self._replace(parent, name, old, new)
        while self._equal:
            self._make_equal(self._equal.pop())
        for dentry in self._added:
            self._add(*dentry)
        if (parent, name) in self._dentries:
            record = self._record(parent)
            self._records[parent] = with_fields(
                record, mtime_ns=self._time_ns, ctime_ns=self._time_ns
            )
        return Graft(
            tuple(self._records.items()),
            tuple(
                (directory, entry, number) for (directory, entry), number in self._dentries.items()
            ),
        )

    def _past_number(self, parts: list[bytes]) -> InodeNumber | None:
        number: InodeNumber | None = ROOT_INODE
        for part in parts:
            number = self._past.lookup(number, part) if number is not None else None
        return number

    def _record(self, number: InodeNumber) -> Inode:
        return self._records.get(number) or self._present.existing(number)

    def _replace(
        self, parent: InodeNumber, name: bytes, old: InodeNumber | None, new: InodeNumber | None
    ) -> None:
        if old is not None and old == new:
            self._equal.append(old)
            return
        if old is not None:
            self._remove(parent, name, old)
        if new is not None:
            # Not before it is known which names stay: they may be other names of this file.
            self._added.append((parent, name, new))

    def _make_equal(self, number: InodeNumber) -> None:
        present, past = self._record(number), self._past.existing(number)
        if present.is_directory:
            if number not in self._above:
                return
            _note_once(self._made_equal, number)
            for name in {
                name for tree in (self._present, self._past) for name, _ in tree.entries(number)
            }:
                self._replace(
                    number,
                    name,
                    self._present.lookup(number, name),
                    self._past.lookup(number, name),
                )
            present = self._record(number)
            changed = with_fields(
                past, parent=present.parent, name=present.name, nlink=present.nlink
            )
        else:
            changed = with_fields(
                past,
                parent=present.parent,
                name=present.name,
                links=present.links,
                nlink=present.nlink,
            )
        if changed != present:
            self._records[number] = changed

    def _remove(self, parent: InodeNumber, name: bytes, number: InodeNumber) -> None:
        found, removed = [(parent, name, number)], set[InodeNumber]()
        for _, name_, above in found:
            if self._present.named(name_, above).is_directory:
                _note_once(removed, above)
                found += [(above, below, child) for below, child in self._present.entries(above)]
        # What is below first: it counts down its directory's subdirectories.
        for dentry in reversed(found):
            self._remove_one(*dentry)

    def _remove_one(self, parent: InodeNumber, name: bytes, number: InodeNumber) -> None:
        inode = self._record(number)
        if inode.is_directory:
            self._count_subdirectory(parent, -1)
            inode = with_fields(inode, nlink=0)
        else:
            left = tuple(link for link in inode.dentries() if link != (parent, name))
            if left:
                (first_parent, first_name), *rest = left
                inode = with_fields(
                    inode, nlink=len(left), parent=first_parent, name=first_name, links=tuple(rest)
                )
            else:
                inode = with_fields(inode, nlink=0, links=())
        self._records[number] = with_fields(inode, ctime_ns=self._time_ns)
        self._dentries[parent, name] = _WHITEOUT

    def _add(self, parent: InodeNumber, name: bytes, past_number: InodeNumber) -> None:
        waiting, added = [(parent, name, past_number)], set[InodeNumber]()
        while waiting:
            above, name_, number = waiting.pop()
            made = self._add_one(above, name_, number)
            if self._past.existing(number).is_directory:
                _note_once(added, number)
                waiting += [(made, below, child) for below, child in self._past.entries(number)]

    def _add_one(self, parent: InodeNumber, name: bytes, past_number: InodeNumber) -> InodeNumber:
        past = self._past.named(name, past_number)
        linked = None if past.is_directory else self._linked_again(past_number, past)
        if linked is not None:
            record = self._record(linked)
            links = (*record.links, (parent, name))
            self._records[linked] = with_fields(record, links=links, nlink=record.nlink + 1)
            self._dentries[parent, name] = linked
            return linked
        taken = past_number in self._records or self._present.inode(past_number) is not None
        number = self._fresh() if taken else past_number
        self._dentries[parent, name] = number
        if past.is_directory:
            self._records[number] = with_fields(past, parent=parent, name=name, nlink=2)
            self._count_subdirectory(parent, 1)
        else:
            self._records[number] = with_fields(past, parent=parent, name=name, links=(), nlink=1)
            self._copies[past_number] = number
        return number

    def _linked_again(self, number: InodeNumber, past: Inode) -> InodeNumber | None:
        """Returns the inode that a name becomes another name of; None: it is a file of its own.

        A copy made for another name that was this file, or the file itself where it still has a
        name that it had then and is what it was.
        """
        copy = self._copies.get(number)
        if copy is not None:
            return copy if self._record(copy).nlink < LINKS_MAX else None
        if self._present.inode(number) is None:
            return None
        record = self._record(number)
        if not set(past.dentries()).intersection(record.dentries()) or record.nlink >= LINKS_MAX:
            return None
        names = {"parent": past.parent, "name": past.name, "links": past.links}
        was = with_fields(record, nlink=past.nlink, ctime_ns=past.ctime_ns, **names)
        if was != past:
            return None
        self._records[number] = with_fields(record, ctime_ns=self._time_ns)
        return number

    def _count_subdirectory(self, parent: InodeNumber, difference: int) -> None:
        record = self._record(parent)
        self._records[parent] = with_fields(record, nlink=record.nlink + difference)


def _note_once(seen: set[InodeNumber], directory: InodeNumber) -> None:
    """Notes a directory that was reached; a second time it is in two, or below itself."""
    if directory in seen:
        raise CorruptTreeError(f"inode {directory} is in two directories, or below itself")
    seen.add(directory)
