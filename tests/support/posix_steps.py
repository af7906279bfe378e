"""Random calls of several users, small enough in their paths that they meet each other."""

import fcntl
import mmap
import os
import stat

from hypothesis import strategies as st

from tests.support.drawing import weighted
from tests.support.posix_calls import Call

USERS_COUNT = 4

PATHS = st.sampled_from(
    ["a", "b", "c", "d", "e", "d/a", "d/b", "d/d", "d/d/a", "e/a", "e/d", "e/b", "l", "d/l"]
)
LIKELY = st.sampled_from(["a", "b", "c", "d", "d/a", "e/a"])
"""Few names, so that calls which need something there, or two names of one file, often have it."""

ODD_PATHS = st.sampled_from(
    ["", ".", "a/", "d/", "d/../a", "d/./b", "a/x", "l/", "e/.", "n" * 255, "n" * 256, "d/" * 2048]
)


_PATHS = weighted(((8, PATHS), (1, ODD_PATHS)))
_SLOTS = st.integers(0, 2)
# Set-group-id without execution for the group, once a mark for locks, is a difference
# (docs/posix.md).
_MODES = st.one_of(
    st.sampled_from([0o644, 0o755, 0o777, 0o600, 0o6777]), st.integers(0, 0o7777)
).map(lambda mode: mode if mode & stat.S_IXGRP else mode & ~stat.S_ISGID)
_IDS = st.sampled_from([-1, 0, 65534, 1000, 2000])
_DATA = st.binary(max_size=40).map(lambda piece: piece * 3) | st.just(b"block" * 2000)
_OFFSETS = st.one_of(st.integers(0, 300), st.sampled_from([4095, 8192, 1 << 39, 1 << 62]))
_SIZES = st.one_of(st.integers(0, 300), st.sampled_from([0, 4097, 1 << 39, 1 << 62]))
_ACCESS = st.sampled_from([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
_FLAGS = st.sets(
    st.sampled_from(
        (
            *(os.O_CREAT, os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND),
            *(os.O_NOFOLLOW, os.O_DIRECTORY, os.O_PATH, os.O_SYNC, os.O_NOATIME),
        )
    )
)
_TYPES = st.sampled_from([stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, 0])
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_TIMES = st.one_of(
    st.tuples(st.integers(-(1 << 33), 1 << 35), st.integers(0, 10**9 - 1)),
    st.sampled_from([(0, _UTIME_NOW), (0, _UTIME_OMIT), (0, 10**9)]),
)
_XATTRS = st.sampled_from(
    ["user.a", "user.b", "trusted.c", "security.d", "user.", "strange.x", "user." + "x" * 251]
)
_TARGETS = st.sampled_from(["a", "d", "d/a", "l", "../b", "nowhere", "e", "t" * 4095, ""])


def _call(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.tuples(*arguments))


def _owned(name: str, target: st.SearchStrategy[object]) -> st.SearchStrategy[Call]:
    # Owner and group -1 on a stranger's set-id file is a difference (docs/posix.md).
    owners = st.tuples(_IDS, _IDS).filter(lambda pair: pair != (-1, -1))
    return st.builds(lambda of, pair: (name, (of, *pair)), target, owners)


_OPENED = st.builds(
    lambda slot, path, access, flags, mode: (
        "open",
        (slot, path, access | sum(set(flags)), mode),
    ),
    _SLOTS,
    _PATHS,
    _ACCESS,
    _FLAGS,
    _MODES,
)

_ON_NAMES = (
    _call("mkdir", _PATHS, _MODES),
    _call("mkdir", PATHS, st.just(0o3777)),
    _call("mknod", _PATHS, st.builds(int.__or__, _TYPES, _MODES), st.just(0x103)),
    _call("symlink", _TARGETS, _PATHS),
    _call("link", _PATHS, _PATHS),
    _call("unlink", _PATHS),
    _call("rmdir", _PATHS),
    _call("rename", _PATHS, _PATHS, st.sampled_from([0, 0, 0, 1, 2, 3])),
    _call("rename", PATHS, PATHS, st.just(0)),
    _call("readlink", _PATHS),
    _call("listdir", _PATHS),
)
_LIKELY = (
    _call("open", _SLOTS, LIKELY, st.just(os.O_CREAT | os.O_RDWR), _MODES),
    _call("open", _SLOTS, LIKELY, st.just(os.O_CREAT | os.O_RDWR), _MODES),
    _call("open", _SLOTS, LIKELY, _ACCESS.map(lambda access: access | os.O_TRUNC), _MODES),
    _call("write", _SLOTS, _DATA),
    _call("link", LIKELY, LIKELY),
    _call("link", LIKELY, LIKELY),
    _call("rename", LIKELY, LIKELY, st.just(0)),
    _call("rename", LIKELY, LIKELY, st.sampled_from([0, 1, 2])),
    _call("unlink", LIKELY),
    _call("unlink", LIKELY),
    _call("rmdir", LIKELY),
    _call("chmod", LIKELY, st.sampled_from([0o6777, 0o4711, 0o2755])),
    _owned("chown", LIKELY),
    _call("truncate", LIKELY, _SIZES),
    _call("removexattr", LIKELY, st.just("user.a")),
    _call("setxattr", LIKELY, st.just("user.a"), st.binary(max_size=20), st.just(0)),
)
_ON_ATTRIBUTES = (
    _call("chmod", _PATHS, _MODES),
    _owned("chown", _PATHS),
    _owned("lchown", _PATHS),
    _call("fchmod", _SLOTS, _MODES),
    _owned("fchown", _SLOTS),
    _call("utimens", _PATHS, _TIMES, _TIMES),
    _call("stat", _PATHS),
    _call("fstat", _SLOTS),
    _call("access", _PATHS, st.integers(0, 7)),
    _call("umask", st.sampled_from([0, 0o22, 0o77, 0o777])),
    _call("setxattr", _PATHS, _XATTRS, st.binary(max_size=20), st.integers(0, 2)),
    _call("getxattr", _PATHS, _XATTRS),
    _call("listxattr", _PATHS),
    _call("removexattr", _PATHS, _XATTRS),
)
_ON_DATA = (
    _call("close", _SLOTS),
    _call("read", _SLOTS, st.integers(0, 5000)),
    _call("pread", _SLOTS, st.integers(0, 5000), _OFFSETS),
    _call("write", _SLOTS, _DATA),
    _call("write", _SLOTS, _DATA),
    _call("pwrite", _SLOTS, _DATA, _OFFSETS),
    _call("lseek", _SLOTS, st.integers(-2, 10000), st.integers(0, 2)),
    _call("ftruncate", _SLOTS, _SIZES),
    _call("truncate", _PATHS, _SIZES),
    _call("fsync", _SLOTS),
    _call("copy_range", _SLOTS, _SLOTS, *[st.integers(0, 300)] * 3),
    _call(
        "map_write",
        _SLOTS,
        st.binary(min_size=1, max_size=9),
        st.integers(0, 5000),
        st.sampled_from([mmap.MAP_SHARED, mmap.MAP_PRIVATE]),
    ),
    _call("flock", _SLOTS, st.sampled_from([fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN])),
    _call(
        "lockf",
        _SLOTS,
        st.sampled_from([fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    _call("ofd_lock", _SLOTS, st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)),
)

CALLS: st.SearchStrategy[Call] = weighted(
    (
        *((3, each) for each in (*_LIKELY, *_ON_NAMES)),
        *((1, each) for each in (*_ON_ATTRIBUTES, *_ON_DATA)),
        (6, _OPENED),
    )
)
"""One call of anybody."""

Step = tuple[int, Call]

_STEPS = st.tuples(st.integers(0, USERS_COUNT - 1), CALLS)


def _shrunk_and_grown(user: int, path: str, sizes: tuple[int, int]) -> list[Step]:
    opened: Step = (user, ("open", (0, path, os.O_CREAT | os.O_RDWR, 0o666)))
    written: Step = (user, ("write", (0, b"0123456789" * 30)))
    return [opened, written, *((user, ("ftruncate", (0, size))) for size in sizes)]


def _set_id_and_changed(user: int, path: str, owner: int) -> list[Step]:
    return [
        (0, ("chown", (path, 1000, 2000))),
        (0, ("chmod", (path, 0o6777))),
        (user, ("open", (1, path, os.O_WRONLY, 0))),
        (user, ("write", (1, b"x"))),
        (0, ("chmod", (path, 0o6777))),
        (user, ("chown", (path, -1, max(owner, 0)))),
    ]


def _linked_and_replaced(user: int, path: str, other: str) -> list[Step]:
    return [
        (user, ("link", (path, "l"))),
        (user, ("mknod", (other, stat.S_IFREG | 0o644, 0))),
        (user, ("rename", (other, "l", 0))),
    ]


def _directories_moved(user: int, path: str, other: str, flags: int) -> list[Step]:
    made: list[Step] = [(user, ("mkdir", (each, 0o755))) for each in (path, other)]
    return [*made, (user, ("rename", (path, other, flags)))]


_USERS = st.integers(0, USERS_COUNT - 1)
_SIZE = st.integers(0, 400)
_BURSTS = st.one_of(
    st.builds(_shrunk_and_grown, _USERS, LIKELY, st.tuples(_SIZE, _SIZE)),
    st.builds(_set_id_and_changed, _USERS, LIKELY, _IDS),
    st.builds(_linked_and_replaced, _USERS, LIKELY, LIKELY),
    st.builds(_directories_moved, _USERS, LIKELY, LIKELY, st.sampled_from([0, 0, 2])),
)


def sequences(min_size: int, max_size: int) -> st.SearchStrategy[list[Step]]:
    """Returns sequences of steps: which user makes which call.

    Mostly single ones; a few bursts are such as chance alone hardly ever puts together.
    """
    single = _STEPS.map(lambda step: [step])
    parts = weighted(((16, single), (1, _BURSTS)))
    return st.lists(parts, min_size=min_size, max_size=max_size).map(
        lambda lists: [step for steps in lists for step in steps]
    )
