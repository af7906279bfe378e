"""What a commit says: first the paths that go, then those that come, from what was touched.

Why this needs no comparison with the tree before: `touched` names every dentry that may differ. Of
a path that differs, take the first dentry on it that is touched; all before it is the same in both
trees, so its directory is at one path in both. Whatever was below that path goes (`D`), whatever is
there now comes, whole. So a dentry that lies below a touched one needs no look. `model/diff.py`
answers for people: it names a renamed or exchanged directory in one line and is silent about what
is below; replaying its lines would need an order that exchanges do not have.

The tree before, if it can be had, only saves reading: a directory or a large file that only moved
is taken from the parent commit by its old path.
"""

import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pyi_fs.git.left_out import EMPTY, LeftOut
from pyi_fs.git.names import has_dot_git, refusal
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.inode import Inode
from pyi_fs.model.touched import Dentry, Touched, content_differs
from pyi_fs.model.tree import Tree

# A smaller file is read again faster than git answers for its old path in a large directory.
REUSED_BYTES_MIN = 256 * 1024

_SPECIAL = {
    stat.S_IFIFO: "FIFOs",
    stat.S_IFSOCK: "sockets",
    stat.S_IFCHR: "character devices",
    stat.S_IFBLK: "block devices",
}


class Put(NamedTuple):
    """A file or symlink comes to a path. `old_path`: where the parent commit has the same bytes."""

    path: bytes
    inode: Inode
    old_path: bytes | None = None


class Move(NamedTuple):
    """A directory that is as it was in the parent commit at `old_path` comes to a path."""

    path: bytes
    number: InodeNumber
    old_path: bytes


class Before(NamedTuple):
    """The parent commit: its tree on demand (None: not to be had), and when it was taken."""

    tree: Callable[[], Tree | None]
    time_ns: int


class Changes:
    """The changes from the parent commit to a tree."""

    def __init__(
        self,
        tree: Tree,
        touched: Touched | None,
        left_out: LeftOut,
        *,
        before: Before | None = None,
        moves_directories: bool = True,
    ) -> None:
        """`touched` None: all of the tree comes.

        Without `moves_directories` their files come one by one, which a filter of paths needs.
        """
        self._tree = tree
        self._touched = touched
        self._left_out = left_out
        self._before = before if touched is not None else None
        self._moves_directories = moves_directories
        self._paths: dict[InodeNumber, bytes | None] = {ROOT_INODE: b""}
        self._dirty: set[InodeNumber] | None = None

    def removals(self) -> list[bytes]:
        """Returns the paths that go, with all below them, before anything comes."""
        if self._touched is None:
            return []
        found = (self._place(dentry) for dentry in self._touched.names)
        return sorted(path for path in found if path is not None and not has_dot_git(path))

    def puts(self) -> Iterator[Put | Move]:
        """Yields what comes; notes what cannot.

        A `Move` that cannot be done is to be replaced by what `walk` yields for it.
        """
        if self._touched is None:
            yield from self.walk(b"", ROOT_INODE)
            return
        for dentry in sorted(self._touched.names):
            child = self._tree.lookup(*dentry)
            path = self._place(dentry) if child is not None else None
            if path is not None and child is not None:
                yield from self._emit(path, dentry[1], child)
        for number in sorted(self._touched.inodes):
            yield from self._content(number)
        self._note_emptied()

    def walk(self, path: bytes, directory: InodeNumber) -> Iterator[Put | Move]:
        """Yields everything below a directory."""
        stack = [(path, directory)]
        while stack:
            path, number = stack.pop()
            inode = self._tree.existing(number)
            if not inode.is_directory:
                yield from self._leaf(path, number, inode)
                continue
            old_path = self._unchanged_since(number, inode) if number != directory else None
            if old_path is not None:
                yield Move(path, number, old_path)
                continue
            names = sorted(self._tree.entries(number), reverse=True)
            if not names and number != ROOT_INODE:
                self._left_out.add(EMPTY, path)
            for name, child in names:
                child_path = path + b"/" + name if path else name
                if not self._is_refused(child_path, name, child):
                    stack.append((child_path, child))

    def _content(self, number: InodeNumber) -> Iterator[Put | Move]:
        """Yields the paths of a touched file that no touched dentry has brought already."""
        assert self._touched is not None
        inode = self._tree.inode(number)
        if inode is None or inode.is_directory:
            return
        for dentry in inode.dentries():
            path = self._place(dentry) if dentry not in self._touched.names else None
            if path is not None:
                yield from self._emit(path, dentry[1], number)

    def _emit(self, path: bytes, name: bytes, number: InodeNumber) -> Iterator[Put | Move]:
        if self._is_refused(path, name, number):
            return
        inode = self._tree.existing(number)
        if not inode.is_directory:
            yield from self._leaf(path, number, inode)
            return
        old_path = self._unchanged_since(number, inode)
        if old_path is not None:
            yield Move(path, number, old_path)
        else:
            yield from self.walk(path, number)

    def _leaf(self, path: bytes, number: InodeNumber, inode: Inode) -> Iterator[Put]:
        if inode.is_file or inode.is_symlink:
            yield Put(path, inode, self._same_bytes_before(number, inode))
        else:
            self._left_out.add(_SPECIAL[stat.S_IFMT(inode.mode)], path)

    def _is_refused(self, path: bytes, name: bytes, number: InodeNumber) -> bool:
        reason = refusal(name, self._tree.existing(number))
        if reason is not None:
            self._left_out.add(reason, path)
        return reason is not None

    def _note_emptied(self) -> None:
        assert self._touched is not None
        for directory in sorted({directory for directory, _ in self._touched.names}):
            path = self._settled(directory)
            if path and not self._tree.has_entries(directory):
                self._left_out.add(EMPTY, path)

    def _place(self, dentry: Dentry) -> bytes | None:
        """Returns the path of a touched dentry; None if one further up stands for it."""
        directory, name = dentry
        path = self._settled(directory)
        if path is None:
            return None
        return path + b"/" + name if path else name

    def _settled(self, directory: InodeNumber) -> bytes | None:
        """Returns the path that a directory had and has; None if there is none that git takes."""
        assert self._touched is not None
        way: list[tuple[InodeNumber, bytes]] = []
        at = directory
        while at not in self._paths:
            inode = self._tree.inode(at)
            if (
                inode is None
                or inode.nlink == 0
                or (inode.parent, inode.name) in self._touched.names
                or refusal(inode.name, inode) is not None
            ):
                self._paths[at] = None
                break
            way.append((at, inode.name))
            at = inode.parent
        path = self._paths[at]
        for number, name in reversed(way):
            if path is not None:
                path = path + b"/" + name if path else name
            self._paths[number] = path
        return path

    def _old(self, inode: Inode) -> Tree | None:
        # A file made since was not there: then the tree before need not be folded. A wrong clock
        # only costs that.
        if self._before is None or inode.btime_ns > self._before.time_ns:
            return None
        return self._before.tree()

    def _unchanged_since(self, number: InodeNumber, inode: Inode) -> bytes | None:
        """Returns where a directory was before if nothing below it was touched, else None."""
        if (
            not self._moves_directories
            or self._before is None
            or number in self._dirty_directories()
        ):
            return None
        old = self._old(inode)
        return _path_in_git(old, number) if old is not None else None

    def _same_bytes_before(self, number: InodeNumber, inode: Inode) -> bytes | None:
        if inode.size < REUSED_BYTES_MIN:
            return None
        old = self._old(inode)
        record = old.inode(number) if old is not None else None
        if old is None or record is None or content_differs(record, inode):
            return None
        return _path_in_git(old, number)

    def _dirty_directories(self) -> set[InodeNumber]:
        """Returns every directory with something touched in or below it.

        A directory that is not among them has the entries it had, and so have all below it: a
        dentry that came or went is touched itself, in the directory where it is or was.
        """
        if self._dirty is None:
            self._dirty = set()
            for directory in self._touched_directories():
                at = directory
                while at not in self._dirty:
                    self._dirty.add(at)
                    inode = self._tree.inode(at)
                    at = inode.parent if inode is not None else ROOT_INODE
        return self._dirty

    def _touched_directories(self) -> Iterator[InodeNumber]:
        assert self._touched is not None
        for directory, _ in self._touched.names:
            yield directory
        for number in self._touched.inodes:
            inode = self._tree.inode(number)
            if inode is not None and not inode.is_directory:
                for directory, _ in inode.dentries():
                    yield directory


def _path_in_git(tree: Tree, number: InodeNumber) -> bytes | None:
    """Returns a path of an inode at which a commit of the tree may have it."""
    return next((path for path in tree.paths(number) if not has_dot_git(path)), None)
