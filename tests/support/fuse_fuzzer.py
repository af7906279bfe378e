"""A kernel gone mad: random requests, well-formed, damaged, and no requests at all.

    python -m tests.support.fuse_fuzzer [--requests N] [--seed S]

Whatever comes, each request that wants an answer gets exactly one, nothing is logged as our
mistake, and the tree stays sound. What the answers bring (nodes, handles) is used further on.
"""

import argparse
import ctypes
import logging
import os
import random
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing

from pyi_fs.control import ioctls
from pyi_fs.fuse.protocol import Opcode
from pyi_fs.model import check
from tests.support import fuse_structs as structs
from tests.support.direct_rig import DirectRig
from tests.support.fuse_structs import EntryOut, OpenOut, request

NAMES = [b"a", b"b", b"c", b"d", b"e\xff", b"n" * 255, b"n" * 256, b".", b".."]
CONTROLS = [b".pyi", b"status", b"last", b"log", b"snapshots", b"branches", b"error", b"main"]
XATTRS = [b"user.a", b"user.b", b"security.capability", b"system.x", b"trusted.", b"x"]
NO_ANSWER = {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY}
# No file of the fuzzer grows beyond what is read back in one go, but for offsets that are refused.
OFFSETS = (0, 1, 100, 4096, 70_000, (1 << 40) - 10, 1 << 40, 1 << 62, (1 << 64) - 1)
LENGTHS = (0, 1, 20, 4096, 65_536, 1 << 32, (1 << 64) - 1)
KNOWN_MAX = 200
# Forks of few names: what is made stays for the run.
TEXTS = (
    b"a",
    b"b\nmessage",
    b"c\0",
    b"1",
    b"2\ta",
    b"fork a",
    b"w",
    b"\xff" * 1100,
    b"-",
    b"\n",
    b"",
)
# Mostly what is no command, and few snapshots: each of them stays as well.
NUMBERS = (ioctls.SNAPSHOT, ioctls.RESTORE, ioctls.RESTORE, ioctls.FORK, *(0x80086601,) * 8)
IN_DIRECTORIES = {
    *(Opcode.LOOKUP, Opcode.SYMLINK, Opcode.MKNOD, Opcode.MKDIR, Opcode.UNLINK, Opcode.RMDIR),
    *(Opcode.RENAME, Opcode.RENAME2, Opcode.LINK, Opcode.CREATE, Opcode.TMPFILE, Opcode.OPENDIR),
}


class Fuzzer:
    """Makes requests for one mount, and learns from its answers."""

    def __init__(self, seed: int) -> None:
        """Begins knowing the root."""
        self._dice = random.Random(seed)
        self.nodes = [1]
        self.directories = [1]
        self.handles = [0]
        self.listings = [0]
        self._unique = 1 << 32
        self._kinds: list[tuple[int, Callable[[], bytes]]] = [
            (Opcode.LOOKUP, self._name),
            (Opcode.LOOKUP, lambda: self._dice.choice(CONTROLS) + b"\0"),
            (Opcode.FORGET, lambda: self._words(structs.ForgetOne, nodeid=1)[8:]),
            (Opcode.BATCH_FORGET, self._forgets),
            (Opcode.GETATTR, lambda: bytes(16)),
            (Opcode.STATX, lambda: bytes(24)),
            (Opcode.SETATTR, self._setattr),
            (Opcode.READLINK, bytes),
            (Opcode.SYMLINK, lambda: self._name() + self._name()),
            (Opcode.MKNOD, self._mknod),
            (Opcode.MKDIR, lambda: bytes(structs.MkdirIn(self._mode(), 0)) + self._name()),
            (Opcode.UNLINK, self._name),
            (Opcode.RMDIR, self._name),
            (Opcode.RENAME, lambda: self._long(self._directory()) + self._name() + self._name()),
            (Opcode.RENAME2, self._rename2),
            (Opcode.LINK, lambda: self._long(self._node()) + self._name()),
            (Opcode.OPEN, self._open),
            (Opcode.OPENDIR, self._open),
            (Opcode.CREATE, self._create),
            (Opcode.TMPFILE, self._create),
            (Opcode.READ, self._read),
            (Opcode.READDIR, self._readdir),
            (Opcode.READDIRPLUS, self._readdir),
            (Opcode.WRITE, self._write),
            (Opcode.RELEASE, lambda: self._long(self._handle()) + bytes(16)),
            (Opcode.RELEASEDIR, lambda: self._long(self._dice.choice(self.listings)) + bytes(16)),
            (Opcode.FSYNCDIR, lambda: self._long(0) + bytes(8)),
            (Opcode.STATFS, bytes),
            (Opcode.SETXATTR, self._setxattr),
            (Opcode.GETXATTR, lambda: self._room() + self._dice.choice(XATTRS) + b"\0"),
            (Opcode.LISTXATTR, self._room),
            (Opcode.REMOVEXATTR, lambda: self._dice.choice(XATTRS) + b"\0"),
            (Opcode.FALLOCATE, self._fallocate),
            (Opcode.LSEEK, self._lseek),
            (Opcode.IOCTL, self._ioctl),
            (Opcode.COPY_FILE_RANGE, self._copy),
            (Opcode.COPY_FILE_RANGE_64, self._copy),
            (Opcode.FLUSH, lambda: bytes(24)),
            (Opcode.INTERRUPT, lambda: self._long(self._unique)),
        ]

    def message(self) -> tuple[bytes, int, int]:
        """Returns a message, its opcode, and the unique that must be answered (0: none)."""
        dice = self._dice
        self._unique += 2
        fate = dice.random()
        if fate < 0.02:
            return dice.randbytes(dice.randrange(40)), 0, 0
        opcode, make = dice.choice(self._kinds)
        body = make()
        if fate < 0.12:
            body = self._damaged(body)
        elif fate < 0.17:
            opcode, body = dice.randrange(64), dice.randbytes(dice.randrange(300))
        if opcode == Opcode.INIT:
            opcode = Opcode.STATFS
        message = request(
            opcode,
            body,
            node=self._directory() if opcode in IN_DIRECTORIES else self._node(),
            unique=self._unique,
            uid=dice.choice((0, 0, 0, 1000)),
            gid=dice.choice((0, 1000)),
        )
        if fate > 0.99:
            # The header lies about the length.
            return b"\xff" + message[1:], 0, self._unique
        return message, opcode, 0 if opcode in NO_ANSWER else self._unique

    def learn(self, opcode: int, body: bytes) -> None:
        """Takes nodes and handles out of an answer that was no refusal."""
        entry_bytes = ctypes.sizeof(EntryOut)
        if opcode in IN_DIRECTORIES and len(body) >= entry_bytes:
            entry, body = EntryOut.from_buffer_copy(body), body[entry_bytes:]
            if entry.nodeid:
                is_directory = stat.S_ISDIR(entry.attr.mode)
                self._keep(self.directories if is_directory else self.nodes, entry.nodeid)
        if opcode in (Opcode.OPEN, Opcode.CREATE, Opcode.TMPFILE) and body:
            self._keep(self.handles, OpenOut.from_buffer_copy(body).fh)
        elif opcode == Opcode.OPENDIR:
            self._keep(self.listings, OpenOut.from_buffer_copy(body).fh)

    def _keep(self, known: list[int], number: int) -> None:
        if len(known) < KNOWN_MAX:
            known.append(number)
        else:
            known[self._dice.randrange(1, KNOWN_MAX)] = number

    def _damaged(self, body: bytes) -> bytes:
        kind = self._dice.randrange(3)
        if kind == 0:
            return body[: self._dice.randrange(len(body) + 1)]
        if kind == 1:
            return body + self._dice.randbytes(self._dice.randrange(20))
        damaged = bytearray(body)
        for _ in range(self._dice.randrange(1, 4) if damaged else 0):
            damaged[self._dice.randrange(len(damaged))] = self._dice.randrange(256)
        return bytes(damaged)

    def _node(self) -> int:
        if self._dice.random() < 0.05:
            return self._dice.choice((0, 2, 1 << 39, 1 << 40 | 1, (1 << 64) - 1, 77))
        return self._dice.choice(self.nodes)

    def _directory(self) -> int:
        return self._dice.choice(self.directories) if self._dice.random() < 0.9 else self._node()

    def _handle(self) -> int:
        return self._dice.choice(self.handles)

    def _name(self) -> bytes:
        return self._dice.choice(NAMES) + b"\0"

    def _mode(self) -> int:
        kinds = (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFBLK)
        return self._dice.choice(kinds) | self._dice.randrange(0o10000)

    def _long(self, number: int) -> bytes:
        return (number & (1 << 64) - 1).to_bytes(8, "little")

    def _words(self, structure: Any, **fields: int) -> bytes:
        return bytes(structure(**fields))

    def _room(self) -> bytes:
        return bytes(structs.GetxattrIn(self._dice.choice((0, 1, 10, 65_536)), 0))

    def _offset(self) -> int:
        return self._dice.choice(OFFSETS)

    def _length(self) -> int:
        return self._dice.choice(LENGTHS)

    def _forgets(self) -> bytes:
        entries = [structs.ForgetOne(self._node(), self._dice.randrange(3)) for _ in range(3)]
        return bytes(structs.BatchForgetIn(3, 0)) + b"".join(map(bytes, entries))

    def _mknod(self) -> bytes:
        return bytes(structs.MknodIn(self._mode(), self._dice.randrange(1 << 32), 0, 0)) + (
            self._name()
        )

    def _rename2(self) -> bytes:
        flags = self._dice.choice((0, 1, 2, 3, 4))
        return bytes(structs.Rename2In(self._directory(), flags, 0)) + self._name() + self._name()

    def _open(self) -> bytes:
        flags = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC)
        return bytes(structs.OpenIn(self._dice.choice(flags), 0))

    def _create(self) -> bytes:
        return bytes(structs.CreateIn(os.O_RDWR, self._mode(), 0, 0)) + self._name()

    def _read(self) -> bytes:
        size = self._dice.choice((0, 10, 4096, 65_536))
        return bytes(structs.ReadIn(self._handle(), self._offset(), size, 0, 0, 0, 0))

    def _readdir(self) -> bytes:
        handle, offset = self._dice.choice(self.listings), self._dice.choice((0, 1, 2, 3, 100))
        return bytes(structs.ReadIn(handle, offset, 4096, 0, 0, 0, 0))

    def _write(self) -> bytes:
        data = self._dice.randbytes(self._dice.choice((0, 1, 50)))
        flags = self._dice.choice((0, 4))
        into = structs.WriteIn(self._handle(), self._offset(), len(data), flags, 0, 0, 0)
        return bytes(into) + data

    def _setattr(self) -> bytes:
        dice = self._dice
        return self._words(
            structs.SetattrIn,
            valid=dice.randrange(1 << 12),
            size=self._offset(),
            atime=dice.randrange(-(1 << 63), 1 << 63),
            mtime=dice.randrange(1 << 33),
            ctime=dice.randrange(1 << 33),
            mtimensec=dice.randrange(1 << 32),
            mode=dice.randrange(1 << 16),
            uid=dice.randrange(1 << 32),
        )

    def _setxattr(self) -> bytes:
        value = self._dice.randbytes(self._dice.choice((0, 5, 100)))
        flags = self._dice.randrange(4)
        head = bytes(structs.SetxattrIn(len(value), flags))
        return head + self._dice.choice(XATTRS) + b"\0" + value

    def _fallocate(self) -> bytes:
        mode = self._dice.choice((0, 1, 2, 3, 8, 16, 17, 32, 64))
        return bytes(structs.FallocateIn(self._handle(), self._offset(), self._length(), mode, 0))

    def _lseek(self) -> bytes:
        return bytes(structs.LseekIn(self._handle(), self._offset(), self._dice.randrange(6), 0))

    def _ioctl(self) -> bytes:
        text = self._dice.choice(TEXTS).ljust(self._dice.choice((0, 1024)), b"\0")
        handle = self._dice.choice((*self.handles, *self.listings))
        number, room = self._dice.choice(NUMBERS), self._dice.choice((1024, 1024, 0, 1 << 31))
        return bytes(structs.IoctlIn(handle, 0, number, 1 << 40, len(text), room)) + text

    def _copy(self) -> bytes:
        return bytes(
            structs.CopyFileRangeIn(
                *(self._handle(), self._offset(), self._node()),
                *(self._handle(), self._offset(), self._length(), 0),
            )
        )


async def fuzz(rig: DirectRig, seed: int, count: int) -> dict[str, int]:
    """Sends `count` messages and checks every answer; returns how many of each errno came."""
    fuzzer = Fuzzer(seed)
    waited: dict[int, int] = {}
    found: dict[str, int] = {}

    def collect() -> None:
        while (answer := rig.answer()) is not None:
            unique, error, body = answer
            assert unique in waited, f"an answer that nobody waits for: {answer}"
            opcode = waited.pop(unique)
            found[str(error)] = found.get(str(error), 0) + 1
            if not error:
                fuzzer.learn(opcode, body)

    async with rig.running():
        for number in range(count):
            message, opcode, unique = fuzzer.message()
            if unique:
                waited[unique] = opcode
            rig.put(message)
            collect()
            if len(waited) > 20 or number % 1000 == 0:
                await trio.testing.wait_all_tasks_blocked()
                collect()
        with trio.fail_after(60):
            while waited:
                await trio.lowlevel.checkpoint()
                collect()
        assert rig.ask(Opcode.GETATTR, bytes(16))[0] == 0
    findings = list(check.check(rig.branch.tree))
    assert not findings, findings[:5]
    return found


class _Mistakes(logging.Handler):
    """Ends the run at the first thing that is logged as ours."""

    def emit(self, record: logging.LogRecord) -> None:
        if "BUG" in record.getMessage():
            raise AssertionError(record.getMessage()) from (record.exc_info or [None, None])[1]


def main() -> None:
    """Runs it, with its seed printed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("pyi_fs").addHandler(_Mistakes())
    with tempfile.TemporaryDirectory() as directory:
        rig = DirectRig(Path(directory, "store"))
        try:
            found = trio.run(fuzz, rig, arguments.seed, arguments.requests)
        finally:
            rig.close()
    sys.stdout.write(f"seed {arguments.seed}: {arguments.requests} messages, errnos {found}\n")


if __name__ == "__main__":
    main()
