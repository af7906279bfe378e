"""The open files of one branch in a program: raw files, and what lives on because one is open.

As with a mount: a file that is removed while it is open lives on without a name and is reaped when
it is closed; a file that a restore replaces under an open one lives on, too, so who has it open
keeps reading and writing the old one.
"""

import io
import time
import weakref
from collections.abc import Callable
from typing import IO, Any

from pyi_fs.api.session import Session
from pyi_fs.engine.branch import Branch
from pyi_fs.errors import StaleNodeError
from pyi_fs.ids import Buffer, InodeNumber
from pyi_fs.model.mutation import Reap, SetAttributes
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree

# One record each: long enough that records cost nothing, short enough for one segment to be reused.
_WRITE_BYTES = 1 << 20


class OpenInode:
    """An inode that is open; `number` follows it when it is adopted under another one."""

    __slots__ = ("number", "users", "writers")

    def __init__(self, number: InodeNumber) -> None:
        """Starts with nobody."""
        self.number = number
        self.users = 0
        self.writers = 0


class OpenFiles:
    """The open inodes of a branch; a `PublishListener`.

    All but `finish` is called in a turn of the session.
    """

    def __init__(self, session: Session, branch: Branch, check: Callable[[], None]) -> None:
        """`check` raises if the branch cannot be used any more."""
        self.session = session
        self.branch = branch
        self.check = check
        self.is_closed = False
        self._inodes: dict[InodeNumber, OpenInode] = {}
        self._objects: weakref.WeakSet[IO[Any]] = weakref.WeakSet()
        branch.listener = self

    def register(self, file: IO[Any]) -> None:
        """Notes what a caller was given, to be closed with the workspace."""
        self._objects.add(file)

    def finish(self) -> None:
        """Closes what callers have left open, so that what is buffered is written.

        Not in a turn.
        """
        for file in list(self._objects):
            file.close()

    def hold(self, number: InodeNumber, *, writes: bool) -> OpenInode:
        """Returns the inode, open once more."""
        opened = self._inodes.setdefault(number, OpenInode(number))
        opened.users += 1
        opened.writers += writes
        return opened

    def let_go(self, opened: OpenInode, *, writes: bool) -> None:
        """Takes a `hold` back."""
        opened.users -= 1
        opened.writers -= writes
        if opened.users == 0 and self._inodes.get(opened.number) is opened:
            del self._inodes[opened.number]
            if not self.is_closed:
                self.reap()

    def reap(self) -> None:
        """Gives back inodes that have no name any more and that nobody has open."""
        gone = tuple(number for number in self.branch.tree.unlinked if number not in self._inodes)
        if gone:
            self.branch.commit(Reap(gone))

    def orphans(
        self,
        branch: Branch,  # noqa: ARG002
        old: Tree,
        new: Tree,
        touched: Touched | None,  # noqa: ARG002
    ) -> list[InodeNumber]:
        """Returns what is open and differs, is unlinked, or is open for writing.

        The rule of a mount.
        """
        found = []
        for number, opened in self._inodes.items():
            was = old.inode(number)
            if was is not None and (was.nlink == 0 or opened.writers or was != new.inode(number)):
                found.append(number)
        return found

    def published(
        self,
        branch: Branch,  # noqa: ARG002
        old: Tree,  # noqa: ARG002
        new: Tree,  # noqa: ARG002
        touched: Touched | None,  # noqa: ARG002
        adopted: dict[InodeNumber, InodeNumber],
    ) -> None:
        """Turns open files to the numbers under which they live on."""
        for number, fresh in adopted.items():
            opened = self._inodes.pop(number)
            opened.number = fresh
            self._inodes[fresh] = opened


def write_all(branch: Branch, number: InodeNumber, offset: int, data: Buffer) -> int:
    """Writes any number of bytes; returns how many. In a turn."""
    view = memoryview(data).cast("B")
    inode = branch.tree.existing(number)
    clear_setid = bool(inode.mode & 0o6000)
    for start in range(0, len(view), _WRITE_BYTES):
        part = view[start : start + _WRITE_BYTES]
        branch.write(number, offset + start, part, time.time_ns(), clear_setid=clear_setid)
    return len(view)


class RawFile(io.RawIOBase):
    """A file of a branch as Python's `io` wants it; to be wrapped in a buffer."""

    def __init__(
        self,
        files: OpenFiles,
        number: InodeNumber,
        *,
        name: str,
        mode: str,
        after_write: Callable[[], None],
    ) -> None:
        """Holds the inode; in a turn. `mode` as of `open`, without `b` and `t`."""
        self.name = name
        self.mode = mode
        self._files = files
        self._reads = mode[0] == "r" or "+" in mode
        self._writes = mode[0] != "r" or "+" in mode
        self._appends = mode[0] == "a"
        self._after_write = after_write
        self._opened = files.hold(number, writes=self._writes)
        self._position = self._size() if self._appends else 0

    def readable(self) -> bool:
        """Returns whether it was opened for reading."""
        return self._reads

    def writable(self) -> bool:
        """Returns whether it was opened for writing."""
        return self._writes

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads into a buffer; returns how many bytes, 0 at the end."""
        if not self._reads:
            raise io.UnsupportedOperation("not readable")
        view = memoryview(buffer).cast("B")
        with self._turn():
            data = self._files.branch.read(self._opened.number, self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        """Writes all the bytes, at the end of the file in append mode; returns how many."""
        if not self._writes:
            raise io.UnsupportedOperation("not writable")
        if self._files.session.is_mine:
            # The finalizer of a buffer, in the middle of another call of this thread.
            copy = bytes(data)
            self._files.session.put_off(lambda: self._put(copy))
            return len(copy)
        with self._turn():
            return self._put(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position, from the start, from here or from the end; returns it."""
        if whence == io.SEEK_END:
            with self._turn():
                offset += self._size()
        elif whence == io.SEEK_CUR:
            offset += self._position
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        self._position = offset
        return offset

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Makes the file so long, or as long as the position; returns the size."""
        if not self._writes:
            raise io.UnsupportedOperation("not writable")
        end = self._position if size is None else size
        with self._turn():
            change = SetAttributes(
                self._opened.number, None, None, None, end, None, None, time.time_ns()
            )
            self._files.branch.commit(change)
        return end

    def close(self) -> None:
        """Lets the inode go; a file without a name is given back with its last one."""
        if self.closed or not hasattr(self, "_opened"):
            return
        super().close()
        session = self._files.session
        if session.is_mine:
            session.put_off(self._let_go)
        elif self._files.is_closed:
            self._let_go()
        else:
            with session.turn(self.name):
                self._let_go()

    def _let_go(self) -> None:
        self._files.let_go(self._opened, writes=self._writes)

    def _turn(self) -> Any:
        if self.closed or self._files.is_closed:
            raise ValueError("I/O operation on closed file")
        return self._files.session.turn(self.name)

    def _put(self, data: Any) -> int:
        if self._files.is_closed:
            raise StaleNodeError("the workspace was closed before the file")
        self._files.check()
        if self._appends:
            self._position = self._size()
        count = write_all(self._files.branch, self._opened.number, self._position, data)
        self._position += count
        self._after_write()
        return count

    def _size(self) -> int:
        return self._files.branch.tree.existing(self._opened.number).size
