"""Steps on the control files of a mount that nobody would take, from here or from a process.

    python -m tests.support.control_noise MOUNTPOINT COUNT SEED

takes COUNT of them and ends with 1 and a line if one has an errno that is none of the documented.
"""

import contextlib
import errno
import os
import random
import sys
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

files = (
    "snapshot", "last", "restore", "undo", "redo", "branch", "head", "drop", "log", "status",
    "metrics", "error", "diff/1..", "diff/nosuch..", "diff0/1..", "snapshots", "branches",
    "nothing",
)  # fmt: skip
words = (
    b"", b"\n", b"main", b"side", b"1", b"99", b"s", b"name\nmessage\n", b"name\tfile", b"1\tfile",
    b"1\t../../etc", b"1\t/", b"1\t" + b"d/" * 3000, b"s --ephemeral", b"new main", b"a b c d",
    b"\0", b"\xff\xfe", b"..", b".pyi", b"-1", b"9" * 5000, "\u0663".encode(), "\u00b2".encode(),
    b"\x1b[2J", b"x" * 129, b"m\n" + b"y" * 65_537, b"z" * 200_000, b"\t\t\t", b"main\n\n\n",
)  # fmt: skip
EXPECTED = frozenset(
    (
        0, errno.ENOENT, errno.EEXIST, errno.EINVAL, errno.EBUSY, errno.EACCES, errno.EPERM,
        errno.ENAMETOOLONG, errno.EROFS, errno.EFBIG, errno.ENOTDIR, errno.EISDIR, errno.EBADF,
        errno.EOPNOTSUPP, errno.ESTALE, errno.ENODATA, errno.ESPIPE, errno.EXDEV, errno.ENOTEMPTY,
    )
)  # fmt: skip
"""What the documents say, and what the kernel says before it asks us. Never EIO."""

_offsets = st.sampled_from([0, 0, 0, 1, 5, 4096, 70_000, 2**31, 2**62])
_slots = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("open"), _slots, st.sampled_from(files), st.integers(0, 5)),
    st.tuples(
        st.just("write"),
        _slots,
        st.one_of(st.sampled_from(words), st.binary(max_size=300)),
        _offsets,
    ),
    st.tuples(st.just("read"), _slots, st.sampled_from([0, 1, 100, 200_000]), _offsets),
    st.tuples(st.just("sync"), _slots),
    st.tuples(st.just("truncate"), _slots, _offsets),
    st.tuples(st.just("change"), _slots),
    st.tuples(st.just("close"), _slots),
)
_FLAGS = (
    os.O_RDWR, os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_APPEND, os.O_RDWR | os.O_TRUNC,
    os.O_RDWR | os.O_CREAT | os.O_EXCL,
)  # fmt: skip


class Client:
    """Four descriptors on control files, and what is done with them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[int, int] = {}
        self._changes = 0

    def do(self, step: tuple[Any, ...]) -> int:
        """Takes a step; returns its errno, 0 if it is done."""
        try:
            self._do(*step)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _do(self, kind: str, slot: int, what: Any = None, where: int = 0) -> None:
        if kind == "open":
            self._close(slot)
            self._open[slot] = os.open(self._root / ".pyi" / what, _FLAGS[where])
        elif kind == "change":
            self._changes += 1
            (self._root / f"changed-{slot}").write_text(str(self._changes))
        elif slot not in self._open:
            return
        elif kind == "write":
            os.pwrite(self._open[slot], what, where)
        elif kind == "read":
            os.pread(self._open[slot], what, where)
        elif kind == "sync":
            os.fsync(self._open[slot])
        elif kind == "truncate":
            os.ftruncate(self._open[slot], what)
        else:
            self._close(slot)

    def _close(self, slot: int) -> None:
        descriptor = self._open.pop(slot, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        for slot in list(self._open):
            with contextlib.suppress(OSError):
                self._close(slot)


def _drawn(dice: random.Random) -> tuple[Any, ...]:
    slot = dice.randrange(4)
    offset = dice.choice([0, 0, 0, 1, 4096, 2**62])
    return dice.choice(
        (
            ("open", slot, dice.choice(files), dice.randrange(6)),
            ("write", slot, dice.choice(words), offset),
            ("read", slot, dice.choice([0, 1, 100, 200_000]), offset),
            ("sync", slot),
            ("truncate", slot, offset),
            ("change", slot),
        )
    )


def main(mountpoint: str, count: str, seed: str) -> int:
    dice = random.Random(int(seed))
    client = Client(Path(mountpoint))
    for index in range(int(count)):
        step = _drawn(dice)
        number = client.do(step)
        if number not in EXPECTED:
            name = errno.errorcode.get(number)
            sys.stderr.write(f"step {index} of seed {seed}: {step!r:.200}: {name}\n")
            return 1
    client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
