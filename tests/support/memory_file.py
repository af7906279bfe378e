"""One file in memory and the handles on it; `tests/support/storage.py` gives it names."""

import errno
import os
import random
from collections.abc import Callable
from typing import Protocol

from pyi_fs.ids import Buffer
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, AppendFile, punchable


class MemoryFile:
    """One file: what is in it, what was in it at its last sync, what happened to it since."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = b""
        # ("append", offset, data), ("truncate", size, b"") or ("zero", offset, zeros)
        self.unsynced: list[tuple[str, int, bytes]] = []
        self.hole_blocks: set[int] = set()
        # [start, end) that a failed sync dropped: held for clean, and on no disk.
        self.lost: list[tuple[int, int]] = []

    def __deepcopy__(self, memo: object) -> "MemoryFile":
        """What is in the lists is immutable: a tenth of the time of crash tests was copying."""
        other = MemoryFile()
        other.content, other.synced = bytearray(self.content), self.synced
        other.unsynced, other.lost = self.unsynced.copy(), self.lost.copy()
        other.hole_blocks = self.hole_blocks.copy()
        return other

    def change(self, change: str, offset: int, data: bytes) -> None:
        self.lost = [part for one in self.lost for part in _outside(one, offset, len(data))]
        _change(self.content, change, offset, data)
        self.unsynced.append((change, offset, data))

    def sync(self) -> None:
        synced = bytearray(self.content)
        for start, end in self.lost:
            end = min(end, len(synced))
            synced[start:end] = bytes(max(0, end - start))
        self.synced = bytes(synced)
        self.unsynced.clear()

    def lose(self) -> None:
        """A sync failed: what was not on disk never will be, although it can still be read."""
        self.lost += [
            (offset, offset + len(data))
            for change, offset, data in self.unsynced
            if change == "append"
        ]
        self.unsynced.clear()

    def after_power_loss(self, chance: random.Random, holes: bool) -> "MemoryFile":
        """A prefix of what was appended since the last sync, perhaps with a torn last block."""
        content = bytearray(self.synced)
        appended = sum(len(data) for change, _, data in self.unsynced if change == "append")
        kept = chance.choice((0, appended, chance.randint(0, appended)))
        last = range(0)
        for change, offset, data in self.unsynced:
            if change == "append":
                part, kept = data[:kept], max(0, kept - len(data))
                if part:
                    last = range(offset, offset + len(part))
                    _change(content, change, offset, part)
                    if holes and chance.random() < 0.3:
                        _zero_some(content, last, chance)
            elif chance.random() < 0.5:
                _change(content, change, offset, data)
        last = range(last.start, min(last.stop, len(content)))
        if last and chance.random() < 0.5:
            block = max(last.start, (last.stop - 1) // PUNCH_BLOCK_BYTES * PUNCH_BLOCK_BYTES)
            torn = chance.randint(block, last.stop)
            content[torn : last.stop] = bytes(last.stop - torn)
        file = MemoryFile()
        file.content = content
        file.sync()
        return file


class Before(Protocol):
    """Told of each call before it takes effect; may raise instead."""

    def __call__(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        """`file` and `data` come with an append."""


class _Handle:
    def __init__(self, before: Before, path: str, file: MemoryFile) -> None:
        self._before = before
        self._path = path
        self._open_file: MemoryFile | None = file

    @property
    def _file(self) -> MemoryFile:
        if self._open_file is None:
            raise os_error(errno.EBADF, self._path)
        return self._open_file

    def read_at(self, offset: int, length: int) -> bytes:
        self._before("read", self._path)
        return bytes(self._file.content[offset : offset + length])

    def close(self) -> None:
        self._open_file = None


class MemoryAppendFile(_Handle):
    def __init__(self, before: Before, path: str, file: MemoryFile) -> None:
        super().__init__(before, path, file)
        self._size_bytes = len(file.content)

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def append(self, *parts: Buffer) -> int:
        data = b"".join(parts)
        self._before("append", self._path, self._file, data)
        offset = self._size_bytes
        self._file.change("append", offset, data)
        self._size_bytes += len(data)
        return offset

    def extend(self, length: int) -> None:
        zeros = bytes(length)
        self._before("extend", self._path, self._file, zeros)
        self._file.change("append", self._size_bytes, zeros)
        self._size_bytes += length

    def sync(self) -> None:
        self._before("sync", self._path)
        self._file.sync()

    def write_again(self, offset: int, data: Buffer) -> None:
        assert offset + len(data) <= self._size_bytes, "BUG: writes what was never there"
        self._before("write_again", self._path)
        self._file.change("append", offset, bytes(data))

    def punch(self, offset: int, length: int) -> None:
        self._before("punch", self._path)
        start, end = punchable(offset, length)
        end = min(end, -(-self._size_bytes // PUNCH_BLOCK_BYTES) * PUNCH_BLOCK_BYTES)
        if start < end:
            self._file.change("zero", start, bytes(end - start))
            self._file.hole_blocks.update(
                range(start // PUNCH_BLOCK_BYTES, end // PUNCH_BLOCK_BYTES)
            )

    def truncate(self, size_bytes: int) -> None:
        self._before("truncate", self._path)
        self._file.change("truncate", size_bytes, b"")
        blocks = -(-size_bytes // PUNCH_BLOCK_BYTES)
        self._file.hole_blocks = {block for block in self._file.hole_blocks if block < blocks}
        self._size_bytes = size_bytes


class MemorySharedFile(MemoryAppendFile):
    """`take_lock` takes the lock of the file and returns what gives it up."""

    def __init__(
        self,
        before: Before,
        path: str,
        file: MemoryFile,
        take_lock: Callable[[], "MemoryLockFile"],
    ) -> None:
        super().__init__(before, path, file)
        self._take_lock = take_lock
        self._turn: MemoryLockFile | None = None

    def begin_turn(self) -> None:
        self._turn = self._take_lock()
        self._size_bytes = len(self._file.content)

    def end_turn(self) -> None:
        assert self._turn is not None, "BUG: ends a turn that it does not have"
        self._turn.release()
        self._turn = None


class MemoryReadFile(_Handle):
    def size_bytes(self) -> int:
        return len(self._file.content)

    def read_at_nowait(self, offset: int, length: int) -> bytes | None:
        return self.read_at(offset, length)

    def map(self) -> Buffer:
        data = bytes(self._file.content)
        return memoryview(data) if data else b""


class MemoryLockFile(_Handle):
    """A held lock; `release` is called once when it is given up."""

    def __init__(
        self, before: Before, path: str, file: MemoryFile, release: Callable[[], None]
    ) -> None:
        super().__init__(before, path, file)
        self._release = release

    def read_text(self) -> str:
        return self._file.content.decode(errors="replace")

    def write_text(self, text: str) -> None:
        self._before("write_text", self._path)
        self._file.change("truncate", 0, b"")
        self._file.change("append", 0, text.encode())

    def release(self) -> None:
        if self._open_file is not None:
            self._release()
        self.close()


def _change(content: bytearray, change: str, offset: int, data: bytes) -> None:
    if change == "truncate":
        del content[offset:]
        return
    if change == "zero":
        data = data[: max(0, len(content) - offset)]
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _outside(part: tuple[int, int], offset: int, length: int) -> list[tuple[int, int]]:
    """Returns what is left of a range without `[offset, offset + length)`."""
    left, right = (part[0], min(part[1], offset)), (max(part[0], offset + length), part[1])
    return [(start, end) for start, end in (left, right) if start < end] if length else [part]


def _zero_some(content: bytearray, within: range, chance: random.Random) -> None:
    start = chance.randrange(within.start, within.stop)
    end = min(within.stop, start + PUNCH_BLOCK_BYTES)
    content[start:end] = bytes(end - start)


def os_error(number: int, path: str) -> OSError:
    """The error a system call would raise about that path."""
    return OSError(number, os.strerror(number), path)


def sync_outcome(file: AppendFile) -> OSError | None:
    """Returns what the sync of a file raises."""
    try:
        file.sync()
    except OSError as error:
        return error
    return None
