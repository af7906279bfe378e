"""What changed between two trees, looked at only where something was touched.

Letters: `A` added, `D` deleted, `M` content modified, `R` renamed, `T` another type of file, `P`
only mode, owner, extended attributes or mtime. A directory is listed only when it was made,
removed, renamed or its mode changed. Cost: O(touched * depth).
"""

from typing import NamedTuple

from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.inode import Inode
from pyi_fs.model.touched import Touched, content_differs
from pyi_fs.model.tree import Tree

_TYPE_BITS = 0o170000


class Change(NamedTuple):
    """One changed path; `old_path` only for a rename."""

    letter: str
    path: bytes
    old_path: bytes | None = None


class Counts(NamedTuple):
    """What a snapshot answers.

    Paths added, modified (renames and attributes included) and deleted.
    """

    added: int
    modified: int
    deleted: int

    def __str__(self) -> str:
        """Returns `+A ~M -D`."""
        return f"+{self.added} ~{self.modified} -{self.deleted}"


def diff(old: Tree, new: Tree, touched: Touched) -> list[Change]:
    """Returns the changes from `old` to `new`, sorted by path.

    `touched` must cover their difference.
    """
    added: dict[bytes, InodeNumber] = {}
    deleted: dict[bytes, InodeNumber] = {}
    changes: list[Change] = []
    old_paths, new_paths = _Paths(old), _Paths(new)
    for directory, name in _candidates(old, new, touched):
        old_number = old.lookup(directory, name)
        new_number = new.lookup(directory, name)
        old_path = old_paths.of(directory, name) if old_number is not None else None
        new_path = new_paths.of(directory, name) if new_number is not None else None
        if old_path and new_path and old_number is not None and new_number is not None:
            before, after = old.existing(old_number), new.existing(new_number)
            # Where a directory stands in the place of something else, what is in it came or went
            # with it, and the names below say nothing: only a rename does.
            if old_number == new_number or (
                old_path == new_path and not (before.is_directory or after.is_directory)
            ):
                letter = _letter(before, after, old_number == new_number)
                if letter:
                    changes.append(Change(letter, new_path))
                continue
        if old_path is not None and old_number is not None:
            deleted[old_path] = old_number
        if new_path is not None and new_number is not None:
            added[new_path] = new_number
    renames = _renames(old, new, added, deleted)
    changes += renames
    changes += _replaced(old, new, added, deleted, {change.old_path for change in renames})
    changes += [Change("A", path) for path in added]
    changes += [Change("D", path) for path in deleted]
    return sorted(changes, key=lambda change: (change.path, change.letter))


def count(changes: list[Change]) -> Counts:
    """Returns how many paths were added, modified, deleted."""
    added = sum(change.letter == "A" for change in changes)
    deleted = sum(change.letter == "D" for change in changes)
    return Counts(added, len(changes) - added - deleted, deleted)


def counts(old: Tree, new: Tree, touched: Touched) -> Counts:
    """Returns the counts of `diff`, without its paths: a snapshot answers no more.

    What only changed where it is needs no name looked up, which in a base table takes longer than
    all else. O(touched), and the depth only of what came, went or moved.
    """
    modified = 0
    inodes: list[InodeNumber] = []
    names = touched.names
    for number in touched.inodes:
        before, after = old.inode(number), new.inode(number)
        if before is None or after is None or not _is_in_place(before, after, names):
            inodes.append(number)
        elif before.extents != after.extents or (
            number != ROOT_INODE and _letter(before, after, same_inode=True)
        ):
            # Other bytes are a change, whatever else is: most were only written to.
            modified += 1
    if not inodes and not names:
        return Counts(0, modified, 0)
    found = count(diff(old, new, Touched(inodes, names)))
    return found._replace(modified=found.modified + modified)


def _is_in_place(old: Inode, new: Inode, touched: set[tuple[InodeNumber, bytes]]) -> bool:
    """Returns whether an inode has one name, in both trees the same, that nobody touched."""
    return (
        old.nlink > 0
        and new.nlink > 0
        and old.parent == new.parent
        and old.name == new.name
        and not old.links
        and not new.links
        and (new.parent, new.name) not in touched
    )


def everything(old: Tree, new: Tree) -> Touched:
    """Returns a touched set that covers any difference.

    Every inode and dentry of both trees (the slow way).
    """
    touched = Touched()
    for tree in (old, new):
        for number in tree.numbers():
            touched.inodes.add(number)
            inode = tree.existing(number)
            touched.names.update(inode.dentries() if number != ROOT_INODE else ())
    return touched


class _Paths:
    """Paths of dentries in a tree; that of each directory is found once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._prefixes: dict[InodeNumber, bytes | None] = {ROOT_INODE: b""}

    def of(self, directory: InodeNumber, name: bytes) -> bytes | None:
        """Returns the path, None if the directory is not connected to the root."""
        try:
            prefix = self._prefixes[directory]
        except KeyError:
            path = self._tree.path_of(directory, b"")
            prefix = self._prefixes[directory] = path + b"/" if path is not None else None
        return prefix + name if prefix is not None else None


def _candidates(old: Tree, new: Tree, touched: Touched) -> set[tuple[InodeNumber, bytes]]:
    names = set(touched.names)
    for number in touched.inodes:
        for tree in (old, new):
            inode = tree.inode(number)
            if inode is None or inode.nlink == 0 or number == ROOT_INODE:
                continue
            names.add((inode.parent, inode.name))
            if inode.links:
                names.update(inode.links)
    return names


def _letter(old: Inode, new: Inode, same_inode: bool) -> str:
    if (old.mode ^ new.mode) & _TYPE_BITS:
        return "T"
    if old.is_directory:
        return (
            "P"
            if (old.mode, old.uid, old.gid, old.xattrs) != (new.mode, new.uid, new.gid, new.xattrs)
            else ""
        )
    if content_differs(old, new) or not same_inode:
        return "M"
    before = (old.mode, old.uid, old.gid, old.xattrs, old.mtime_ns)
    return "P" if before != (new.mode, new.uid, new.gid, new.xattrs, new.mtime_ns) else ""


def _replaced(
    old: Tree,
    new: Tree,
    added: dict[bytes, InodeNumber],
    deleted: dict[bytes, InodeNumber],
    moved: set[bytes | None],
) -> list[Change]:
    """Returns the changes of paths that another dentry took over (a swapped directory).

    Not below a path that was `moved` away: what was there went along, what is there now is new.
    """
    changes = []
    for path in [path for path in added if path in deleted]:
        parts = path.split(b"/")
        if any(b"/".join(parts[:depth]) in moved for depth in range(1, len(parts))):
            continue
        letter = _letter(
            old.existing(deleted.pop(path)), new.existing(added.pop(path)), same_inode=False
        )
        if letter:
            changes.append(Change(letter, path))
    return changes


def _renames(
    old: Tree, new: Tree, added: dict[bytes, InodeNumber], deleted: dict[bytes, InodeNumber]
) -> list[Change]:
    changes = []
    old_paths = {number: path for path, number in deleted.items()}
    for path, number in list(added.items()):
        old_path = old_paths.get(number)
        if old_path is None or old_path not in deleted:
            continue
        before, after = old.existing(number), new.existing(number)
        if before.links or after.links:
            continue
        del added[path], deleted[old_path]
        changes.append(Change("R", path, old_path))
        letter = _letter(before, after, same_inode=True)
        if letter:
            changes.append(Change(letter, path))
    return changes
