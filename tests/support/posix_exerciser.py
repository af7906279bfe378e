"""Random operations on one file of a mount, from two descriptors, against bytes in memory.

Between them snapshots, restores and dropped caches: what is read must be what was written, through
whichever descriptor, mapping, snapshot or cache.
"""

import ctypes
import errno
import mmap
import os
import random
from collections.abc import Callable

from tests.support.acceptance import Served

_LIBC = ctypes.CDLL(None, use_errno=True)
_PUNCH_HOLE_KEEP_SIZE = 3
SIZE_MAX = 256 * 1024
_PIECE_MAX = 32 * 1024
_SNAPSHOTS_MAX = 8


class Exerciser:
    """One file and what it should hold. `seed` decides everything; `log` says what was done."""

    def __init__(self, mount: Served, name: str, seed: int) -> None:
        self._mount = mount
        self._path = mount.path / name
        self._name = name
        self._dice = random.Random(seed)
        self._data = bytearray()
        self._noise = self._dice.randbytes(SIZE_MAX + _PIECE_MAX)
        self._kept: list[tuple[str, bytes]] = []
        self.log: list[str] = []
        self.counts: dict[str, int] = {}
        self._descriptors = [-1, -1]
        self._reopen()
        self._operations: list[tuple[Callable[[int], str], int]] = [
            (self._read, 30),
            (self._write, 25),
            (self._append, 5),
            (self._map_read, 10),
            (self._map_write, 15),
            (self._truncate, 6),
            (self._copy, 3),
            (self._punch, 2),
            (self._forget_pages, 2),
            (self._sync, 1),
            (self._reopen_one, 1),
        ]
        self._seldom: list[Callable[[], str]] = [self._snapshot, self._restore, self._look_back]

    def close(self) -> None:
        """Closes the descriptors."""
        for descriptor in self._descriptors:
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptors = [-1, -1]

    def run(self, count: int) -> None:
        """Makes operations and compares; an `AssertionError` says what was done last."""
        methods, weights = zip(*self._operations, strict=True)
        try:
            for index in range(count):
                if index % 97 == 96:
                    self._note(self._dice.choice(self._seldom)())
                method = self._dice.choices(methods, weights)[0]
                self._note(method(self._dice.choice(self._descriptors)))
                if index % 499 == 498:
                    self._check(self._path.read_bytes(), bytes(self._data))
            self._check(self._path.read_bytes(), bytes(self._data))
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.log[-40:])) from None

    def _note(self, text: str) -> None:
        word = text.split(" ", 1)[0]
        self.counts[word] = self.counts.get(word, 0) + 1
        self.log.append(text)
        if len(self.log) > 2000:
            del self.log[:1000]

    def _check(self, found: bytes, wanted: bytes | bytearray) -> None:
        if found == wanted:
            return
        pairs = enumerate(zip(found, wanted, strict=False))
        first = next((index for index, (a, b) in pairs if a != b), min(len(found), len(wanted)))
        raise AssertionError(f"{len(found)} bytes, not {len(wanted)}; first differs at {first}")

    def _range(self, end_max: int) -> tuple[int, int]:
        start = self._dice.randrange(end_max)
        if self._dice.random() < 0.3:
            start &= ~4095
        length = self._dice.randrange(1, 1 + min(_PIECE_MAX, end_max - start))
        return start, length

    def _piece(self, length: int) -> bytes:
        start = self._dice.randrange(SIZE_MAX)
        return self._noise[start : start + length]

    def _put(self, offset: int, data: bytes) -> None:
        if len(self._data) < offset:
            self._data.extend(bytes(offset - len(self._data)))
        self._data[offset : offset + len(data)] = data

    def _read(self, descriptor: int) -> str:
        offset, length = self._range(SIZE_MAX)
        self._check(os.pread(descriptor, length, offset), self._data[offset : offset + length])
        return f"read {offset} {length}"

    def _write(self, descriptor: int) -> str:
        offset, length = self._range(SIZE_MAX)
        data = self._piece(length)
        assert os.pwrite(descriptor, data, offset) == length
        self._put(offset, data)
        return f"write {offset} {length}"

    def _append(self, descriptor: int) -> str:
        if len(self._data) > SIZE_MAX - _PIECE_MAX:
            return "append-none"
        data = self._piece(self._dice.randrange(1, 500))
        appending = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(appending, data)
        finally:
            os.close(appending)
        self._put(len(self._data), data)
        return f"append {len(data)}"

    def _map_read(self, descriptor: int) -> str:
        if not self._data:
            return "map-read-none"
        offset, length = self._range(len(self._data))
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapping:
            self._check(mapping[offset : offset + length], self._data[offset : offset + length])
        return f"map-read {offset} {length}"

    def _map_write(self, descriptor: int) -> str:
        if not self._data:
            return "map-write-none"
        offset, length = self._range(len(self._data))
        data = self._piece(length)
        is_synced = self._dice.random() < 0.5
        with mmap.mmap(descriptor, 0) as mapping:
            mapping[offset : offset + length] = data
            if is_synced:
                mapping.flush()
        self._put(offset, data)
        return f"map-write {offset} {length} {'synced' if is_synced else ''}"

    def _truncate(self, descriptor: int) -> str:
        size = self._dice.choice([0, self._dice.randrange(SIZE_MAX), len(self._data) // 2])
        os.ftruncate(descriptor, size)
        del self._data[size:]
        self._data.extend(bytes(size - len(self._data)))
        return f"truncate {size}"

    def _copy(self, descriptor: int) -> str:
        half = SIZE_MAX // 2
        source, length = self._range(half)
        target = half + self._range(half)[0]
        length = min(length, half - source, SIZE_MAX - target)
        done = os.copy_file_range(descriptor, self._descriptors[0], length, source, target)
        data = bytes(self._data[source : source + length])
        assert done == len(data)
        if data:
            self._put(target, data)
        return f"copy {source} {target} {length}"

    def _punch(self, descriptor: int) -> str:
        offset, length = self._range(SIZE_MAX)
        start, size = ctypes.c_int64(offset), ctypes.c_int64(length)
        if _LIBC.fallocate(descriptor, _PUNCH_HOLE_KEEP_SIZE, start, size):
            # docs/posix.md: pyfuse3 does not pass it on.
            assert ctypes.get_errno() == errno.EOPNOTSUPP
            return "punch-refused"
        end = min(offset + length, len(self._data))
        self._data[offset:end] = bytes(max(0, end - offset))
        return f"punch {offset} {length}"

    def _forget_pages(self, descriptor: int) -> str:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return "forget-pages"

    def _sync(self, descriptor: int) -> str:
        os.fsync(descriptor)
        assert os.fstat(descriptor).st_size == len(self._data)
        return "sync"

    def _reopen_one(self, descriptor: int) -> str:
        index = self._descriptors.index(descriptor)
        self._descriptors[index] = -1
        os.close(descriptor)
        self._descriptors[index] = os.open(self._path, os.O_RDWR)
        return f"reopen {index}"

    def _reopen(self) -> None:
        self.close()
        flags = os.O_RDWR | os.O_CREAT
        self._descriptors = [os.open(self._path, flags, 0o644) for _ in range(2)]

    def _snapshot(self) -> str:
        # Pages dirtied through a mapping are in a snapshot once they were written back.
        os.fsync(self._descriptors[0])
        name = self._mount.snapshot()
        self._kept = [kept for kept in self._kept if kept[0] != name][-_SNAPSHOTS_MAX:]
        self._kept.append((name, bytes(self._data)))
        return f"snapshot {name}"

    def _restore(self) -> str:
        if not self._kept:
            return "restore-none"
        name, data = self._dice.choice(self._kept)
        orphan, self._descriptors[1] = self._descriptors[1], -1
        lost = bytes(self._data)
        os.fsync(orphan)
        self._mount.control("restore", name)
        # Who has the file open keeps the old one (design.md, section 6).
        self._check(os.pread(orphan, SIZE_MAX * 2, 0), lost)
        os.pwrite(orphan, b"written to an orphan", 0)
        os.close(orphan)
        self._data = bytearray(data)
        self._reopen()
        self._check(os.pread(self._descriptors[0], SIZE_MAX * 2, 0), data)
        return f"restore {name}"

    def _look_back(self) -> str:
        if not self._kept:
            return "look-back-none"
        name, data = self._dice.choice(self._kept)
        found = (self._mount.path / ".pyi" / "snapshots" / name / self._name).read_bytes()
        self._check(found, data)
        return f"look-back {name}"
