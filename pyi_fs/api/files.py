"""The files of a workspace by their paths, as `os`, `shutil` and `pathlib` name things.

Permission bits are kept and not enforced: who may open the store owns all that is in it.
"""

import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, Any

from pyi_fs import limits
from pyi_fs.api.opened import OpenFiles, RawFile, write_all
from pyi_fs.api.paths import AnyPath, Place, encoded, existing, place_of
from pyi_fs.api.records import Stat, stat_of
from pyi_fs.engine.branch import Branch
from pyi_fs.errors import (
    AlreadyExistsError,
    BusyError,
    InvalidArgumentError,
    IsADirectoryInTreeError,
    NotADirectoryInTreeError,
)
from pyi_fs.ids import ROOT_INODE, Buffer, InodeNumber
from pyi_fs.model.edit_file import time_within
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Create, Link, Remove, Rename, SetAttributes, Share
from pyi_fs.model.tree import Tree

CONTROL_NAME = b".pyi"
# What can be given back is looked for when so much more has become garbage: a segment's worth.
_RECLAIM_BYTES = limits.SEGMENT_BYTES_MAX


class Files:
    """Everything about paths; `Workspace` adds opening, branches and snapshots."""

    _branch: Branch
    _opened: OpenFiles
    _reclaim_at: int

    def _turn(self, *paths: AnyPath) -> AbstractContextManager[None]:
        raise NotImplementedError

    # Contents.

    def read(self, path: AnyPath) -> bytes:
        """Returns a whole file."""
        with self._turn(path):
            number, inode = self._file(path)
            return self._branch.read(number, 0, inode.size)

    def write(self, path: AnyPath, data: Buffer) -> int:
        """Makes a file hold `data`, making it if need be; returns the number of bytes."""
        with self._turn(path):
            return self._put(self._writable(path, truncate=True), 0, data)

    def append(self, path: AnyPath, data: Buffer) -> int:
        """Writes at the end of a file, making it if need be; returns the number of bytes."""
        with self._turn(path):
            number = self._writable(path, truncate=False)
            return self._put(number, self._tree.existing(number).size, data)

    def truncate(self, path: AnyPath, size: int) -> None:
        """Makes a file so long: cut, or longer by a hole."""
        with self._turn(path):
            self._set(self._file(path)[0], size=size)

    def copy(self, source: AnyPath, target: AnyPath) -> None:
        """Makes `target` a file with the content and mode of `source`.

        O(extents): the bytes are shared, not copied.
        """
        with self._turn(source, target):
            number, inode = self._file(source)
            place = place_of(self._tree, encoded(target))
            if place.number == number:
                raise InvalidArgumentError("source and target are the same file")
            copy = self._writable(target, truncate=True, mode=stat.S_IMODE(inode.mode))
            self._branch.commit(Share(copy, 0, inode.size, inode.extents, time.time_ns()))
            self._set(copy, mode=stat.S_IMODE(inode.mode))

    def open_file(
        self,
        path: AnyPath,
        mode: str = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Opens a file as the built-in `open` does, buffered.

        Text is UTF-8 unless `encoding` says otherwise.
        """
        kind, is_text = _parsed(mode)
        if not is_text and (encoding, errors, newline) != (None, None, None):
            raise ValueError("binary mode takes no encoding, errors or newline")
        with self._turn(path):
            if kind[0] == "r":
                number = self._file(path)[0]
            else:
                number = self._writable(path, truncate=kind[0] == "w", fresh=kind[0] == "x")
            name = os.fsdecode(encoded(path))
            raw = RawFile(self._opened, number, name=name, mode=kind, after_write=self._tend)
        opened: IO[Any]
        if "+" in kind:
            opened = io.BufferedRandom(raw)
        else:
            opened = io.BufferedReader(raw) if kind[0] == "r" else io.BufferedWriter(raw)
        if is_text:
            opened = io.TextIOWrapper(opened, encoding or "utf-8", errors, newline)
        self._opened.register(opened)
        return opened

    # Directories and names.

    def listdir(self, path: AnyPath = "") -> list[str]:
        """Returns the names in a directory, sorted."""
        with self._turn(path):
            number = self._directory(path)
            return sorted(os.fsdecode(name) for name, _ in self._tree.entries(number))

    def walk(self, top: AnyPath = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """Yields (path, names of directories, names of all else) from the top down, as `os.walk`.

        Remove names to pass directories over.

        What it walks is the tree of this instant, whatever happens meanwhile. Symlinks are not
        followed.
        """
        with self._turn(top):
            tree, number = self._tree, self._directory(top)
        return _walk(tree, number, os.fsdecode(encoded(top)).rstrip("/"))

    def mkdir(
        self, path: AnyPath, mode: int = 0o755, *, parents: bool = False, exist_ok: bool = False
    ) -> None:
        """Makes a directory; with `parents` those above it, too.

        With `exist_ok` one that is there is no error.
        """
        with self._turn(path):
            if parents:
                names = [part for part in encoded(path).split(b"/") if part]
                for count in range(1, len(names)):
                    above = place_of(self._tree, b"/".join(names[:count]))
                    if above.number is None:
                        self._create(above, stat.S_IFDIR | 0o755)
            self._make_directory(encoded(path), mode, exist_ok=exist_ok)

    def rename(self, source: AnyPath, target: AnyPath) -> None:
        """Moves a file or directory.

        A file, or an empty directory, in its place is replaced at once.
        """
        with self._turn(source, target):
            old = place_of(self._tree, encoded(source), follow=False)
            new = place_of(self._tree, encoded(target), follow=False)
            self._check_control(new)
            names = old.free_name(), new.free_name()
            now = time.time_ns()
            self._branch.commit(Rename(old.parent, names[0], new.parent, names[1], 0, now))
            self._opened.reap()

    def remove(self, path: AnyPath) -> None:
        """Removes a file, symlink or special file; who has it open keeps it."""
        with self._turn(path):
            self._remove(path, is_directory=False)

    def rmdir(self, path: AnyPath) -> None:
        """Removes an empty directory."""
        with self._turn(path):
            self._remove(path, is_directory=True)

    def rmtree(self, path: AnyPath) -> None:
        """Removes a directory and everything below it."""
        with self._turn(path):
            place = place_of(self._tree, encoded(path), follow=False)
            name = place.free_name()
            number = existing(self._tree, encoded(path), follow=False)
            if not self._tree.existing(number).is_directory:
                raise NotADirectoryInTreeError("not a directory")
            now = time.time_ns()
            self._remove_below(self._tree, number, now)
            self._branch.commit(Remove(place.parent, name, True, now))
            self._opened.reap()

    def symlink(self, target: AnyPath, path: AnyPath) -> None:
        """Makes a symlink at `path` that points at `target`."""
        with self._turn(path):
            place = place_of(self._tree, encoded(path), follow=False)
            self._create(place, stat.S_IFLNK | 0o777, encoded(target))

    def readlink(self, path: AnyPath) -> str:
        """Returns what a symlink points at."""
        with self._turn(path):
            inode = self._tree.existing(existing(self._tree, encoded(path), follow=False))
            if not inode.is_symlink:
                raise InvalidArgumentError("not a symlink")
            return os.fsdecode(inode.target)

    def link(self, source: AnyPath, target: AnyPath) -> None:
        """Gives a file another name."""
        with self._turn(source, target):
            number = existing(self._tree, encoded(source), follow=False)
            place = place_of(self._tree, encoded(target), follow=False)
            self._check_control(place)
            self._branch.commit(Link(number, place.parent, place.free_name(), time.time_ns()))

    # Attributes.

    def stat(self, path: AnyPath, *, follow_symlinks: bool = True) -> Stat:
        """Returns the attributes of a file."""
        with self._turn(path):
            number = existing(self._tree, encoded(path), follow=follow_symlinks)
            return stat_of(number, self._tree.existing(number))

    def exists(self, path: AnyPath) -> bool:
        """Returns whether something is there; False for a symlink that points nowhere."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def chmod(self, path: AnyPath, mode: int) -> None:
        """Sets the permission bits of a file."""
        with self._turn(path):
            self._set(existing(self._tree, encoded(path)), mode=mode)

    def utime(
        self,
        path: AnyPath,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Sets atime and mtime.

        `times` in seconds, `ns` in nanoseconds, now if neither is given. A time that no inode can
        hold becomes the nearest that one can.
        """
        if times is not None and ns is not None:
            raise ValueError("either times or ns, not both")
        if ns is None:
            now = time.time_ns()
            ns = (now, now) if times is None else (round(times[0] * 1e9), round(times[1] * 1e9))
        with self._turn(path):
            number = existing(self._tree, encoded(path), follow=follow_symlinks)
            self._set(number, atime_ns=time_within(ns[0]), mtime_ns=time_within(ns[1]))

    # What the above is made of; all in a turn.

    @property
    def _tree(self) -> Tree:
        return self._branch.tree

    def _file(self, path: AnyPath) -> tuple[InodeNumber, Inode]:
        number = existing(self._tree, encoded(path))
        return number, _regular(self._tree.existing(number))

    def _directory(self, path: AnyPath) -> InodeNumber:
        number = existing(self._tree, encoded(path))
        if not self._tree.existing(number).is_directory:
            raise NotADirectoryInTreeError("not a directory")
        return number

    def _writable(
        self, path: AnyPath, *, truncate: bool, fresh: bool = False, mode: int = 0o644
    ) -> InodeNumber:
        """Returns the file at a path, made if there is none."""
        place = place_of(self._tree, encoded(path), follow=not fresh)
        if place.number is None:
            if encoded(path).endswith(b"/"):
                raise IsADirectoryInTreeError("a file's name does not end in a slash")
            return self._create(place, stat.S_IFREG | mode)
        if fresh:
            raise AlreadyExistsError("exists")
        inode = _regular(self._tree.existing(place.number))
        if truncate and inode.size:
            self._set(place.number, size=0)
        return place.number

    def _create(self, place: Place, mode: int, target: bytes = b"") -> InodeNumber:
        self._check_control(place)
        number = self._branch.next_inode()
        owner = os.geteuid(), os.getegid()
        now = time.time_ns()
        self._branch.commit(
            Create(place.parent, place.free_name(), number, mode, *owner, now, target)
        )
        return number

    def _make_directory(self, path: bytes, mode: int, *, exist_ok: bool) -> None:
        place = place_of(self._tree, path)
        if place.number is None:
            self._create(place, stat.S_IFDIR | stat.S_IMODE(mode))
        elif not exist_ok or not self._tree.existing(place.number).is_directory:
            raise AlreadyExistsError("exists")

    def _check_control(self, place: Place) -> None:
        """Refuses the name under which mounts show the control directory."""
        if place.parent == ROOT_INODE and place.name == CONTROL_NAME:
            raise BusyError("'.pyi' in the root is the control directory of mounts")

    def _remove(self, path: AnyPath, *, is_directory: bool) -> None:
        place = place_of(self._tree, encoded(path), follow=False)
        name = place.free_name()
        self._branch.commit(Remove(place.parent, name, is_directory, time.time_ns()))
        self._opened.reap()

    def _remove_below(self, tree: Tree, number: InodeNumber, now: int) -> None:
        """Removes what is in a directory, innermost first; without recursion, for deep trees."""
        names = [(number, name, child) for name, child in tree.entries(number)]
        order: list[tuple[InodeNumber, bytes, bool]] = []
        while names:
            parent, name, child = names.pop()
            is_directory = tree.existing(child).is_directory
            order.append((parent, name, is_directory))
            if is_directory:
                names += [(child, below, number) for below, number in tree.entries(child)]
        for parent, name, is_directory in reversed(order):
            self._branch.commit(Remove(parent, name, is_directory, now))

    def _set(
        self,
        number: InodeNumber,
        *,
        mode: int | None = None,
        size: int | None = None,
        atime_ns: int | None = None,
        mtime_ns: int | None = None,
    ) -> None:
        self._branch.commit(
            SetAttributes(number, mode, None, None, size, atime_ns, mtime_ns, time.time_ns())
        )
        self._tend()

    def _put(self, number: InodeNumber, offset: int, data: Buffer) -> int:
        count = write_all(self._branch, number, offset, data)
        self._tend()
        return count

    def _tend(self) -> None:
        """Gives back scratch that nobody can reach, now and then.

        There is no mount that would do it.
        """
        writer = self._branch.writer
        if writer is None or writer.scratch.garbage_bytes < self._reclaim_at:
            return
        self._branch.reclaim()
        if writer.scratch.garbage_bytes >= limits.GARBAGE_BYTES_MAX:
            self._branch.sync()
            self._branch.reclaim()
        self._reclaim_at = writer.scratch.garbage_bytes + _RECLAIM_BYTES


def _regular(inode: Inode) -> Inode:
    if inode.is_directory:
        raise IsADirectoryInTreeError("is a directory")
    if not inode.is_file:
        raise InvalidArgumentError("not a regular file")
    return inode


def _parsed(mode: str) -> tuple[str, bool]:
    """Returns a mode without `b` and `t`, and whether it is of text.

    `ValueError` as the built-in `open`.
    """
    kinds = [letter for letter in mode if letter in "rwax"]
    rest = sorted(mode.replace(kinds[0], "", 1)) if kinds else []
    if len(kinds) != 1 or rest not in ([], ["+"], ["b"], ["t"], ["+", "b"], ["+", "t"]):
        raise ValueError(f"invalid mode: {mode!r}")
    return kinds[0] + ("+" if "+" in mode else ""), "b" not in mode


def _walk(tree: Tree, number: InodeNumber, top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    waiting = [(top, number)]
    while waiting:
        path, directory = waiting.pop()
        children = {os.fsdecode(name): child for name, child in tree.entries(directory)}
        below = [name for name in sorted(children) if tree.existing(children[name]).is_directory]
        yield path, below, sorted(set(children) - set(below))
        prefix = path + "/" if path else ""
        waiting += [(prefix + name, children[name]) for name in reversed(below)]
