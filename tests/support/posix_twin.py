"""A host directory and other worlds driven together by the same calls of the same users."""

import os
import stat
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from pyi_fs.limits import FILE_BYTES_MAX, TIME_NS_MAX, TIME_NS_MIN
from tests.support.posix_calls import Call, Failed
from tests.support.posix_worlds import USERS, Picture, World

_CLOCK_REALTIME_COARSE = 5
_FIRST_SECOND, _LAST_SECOND = TIME_NS_MIN // 10**9, TIME_NS_MAX // 10**9

Times = dict[int, tuple[int, int]]


def tick() -> None:
    """Returns when the kernel gives later times than it has given to anything so far.

    It takes most times from a clock that ticks, but none that is earlier than the last exact one it
    gave to a file of the host (multigrain timestamps, from Linux 6.13 on). A late tick may be
    before that: after it the kernel still gave the time of before, in 27 of 1,627 calls.
    """
    before = time.time_ns()
    while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) <= before:
        pass


def _times(picture: Picture) -> Times:
    return {number: times for number, times, _ in picture.values()}


def _touched(
    before: Picture, after: Picture, *, but_fifos: bool
) -> dict[tuple[str, ...], tuple[bool, bool]]:
    """Returns which files, by all their names now, have another mtime, ctime."""
    old = _times(before)
    names: dict[int, list[str]] = {}
    for path, (number, _, same) in after.items():
        if not (but_fifos and stat.S_ISFIFO(same[0])):
            names.setdefault(number, []).append(path)
    return {
        tuple(sorted(names[number])): (new[0] != old[number][0], new[1] != old[number][1])
        for number, new in _times(after).items()
        if number in old and number in names and new != old[number]
    }


def _same(picture: Picture) -> dict[str, Any]:
    return {path: same for path, (_, _, same) in picture.items()}


def _differences(mine: dict[str, Any], host: dict[str, Any]) -> str:
    """Returns the paths that differ, with what they are here and on the host."""
    paths = [path for path in sorted({*mine, *host}) if mine.get(path) != host.get(path)]
    return ", ".join(f"{path}: {mine.get(path)} / {host.get(path)}" for path in paths)


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _has_devices(picture: Picture) -> bool:
    return any(_is_device(same[0]) for _, _, same in picture.values())


def _has_set_id(picture: Picture) -> bool:
    modes = [same[0] for _, _, same in picture.values()]
    return any(stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes)


class Twin:
    """The host and the worlds that have to do what it does."""

    def __init__(self, host: World, *worlds: World) -> None:
        self._worlds: Sequence[World] = (host, *worlds)
        self._is_coarse = any(world.is_coarse for world in worlds)
        self._numbers = count()
        self._before: list[Picture] = []
        self.calls = 0

    def close(self) -> None:
        """Ends the worlds."""
        for world in self._worlds:
            world.close()

    def begin(self) -> None:
        """Moves into a fresh directory with a few files in it."""
        name = str(next(self._numbers))
        for world in self._worlds:
            world.check()
            world.begin(name)
        self._before = self._pictures()
        prelude: list[tuple[int, Call]] = [
            (0, ("mkdir", ("d", 0o777))),
            (0, ("chmod", ("d", 0o1777))),
            (1, ("mkdir", ("e", 0o755))),
            (1, ("chmod", ("e", 0o2775))),
            (2, ("chmod", ("e", 0o2777))),
            (0, ("chmod", ("e", 0o2777))),
            (2, ("mkdir", ("e/d", 0o755))),
            (1, ("mknod", ("a", 0o100664, 0))),
            (2, ("open", (0, "b", 0o102, 0o666))),
            (2, ("write", (0, b"content of b"))),
        ]
        for user, call in prelude:
            self.step(user, call)

    def step(self, user: int, call: Call) -> object:
        """Makes a call everywhere and compares result, tree and touched times."""
        if self._is_left_out(user, call):
            return None
        if self._is_coarse:
            # Else a change in the tick of the one before would be seen in no time.
            tick()
        for world in self._worlds:
            world.start(user, call)
        theirs = self._worlds[0].result(user)
        results = [world.result(user, theirs) for world in self._worlds[1:]]
        pictures = self._pictures()
        by = f"{USERS[user]} {call}"
        for world, mine, before, after in zip(
            self._worlds[1:], results, self._before[1:], pictures[1:], strict=True
        ):
            where = f"{type(world).__name__}: {by}"
            assert mine == theirs, f"{where}: {mine}, on the host {theirs}"
            shown, host = _same(after), _same(pictures[0])
            assert shown == host, f"{where}: {_differences(shown, host)}"
            if self._has_times(world, call):
                # A FUSE mount's FIFOs keep their times when they are written to (docs/posix.md).
                but_fifos = call[0] == "write"
                touched = _touched(before, after, but_fifos=but_fifos)
                on_host = _touched(self._before[0], pictures[0], but_fifos=but_fifos)
                assert touched == on_host, f"{where}: {touched}, on the host {on_host}"
        self._before = pictures
        self.calls += 1
        return theirs

    def restore(self, lost: list[tuple[int, Call]]) -> None:
        """Takes a snapshot, does what shall be lost, and restores: everywhere but on the host.

        All files are closed first: the open ones would be orphans now.
        """
        users = range(len(USERS))
        for user in users:
            self._everywhere(user, ("close_all", ()))
        before = self._pictures()
        snapshots = [world.snapshot() for world in self._worlds]
        masks = [self._everywhere(user, ("umask", (0,))) for user in users]
        for user, call in lost:
            self._everywhere(user, call, skip=1)
        for user in users:
            self._everywhere(user, ("close_all", ()), skip=1)
        for world, snapshot in zip(self._worlds, snapshots, strict=True):
            world.restore(snapshot)
        for user in users:
            self._everywhere(user, ("umask", (masks[user][0],)))
        self._before = self._pictures()
        for was, after in zip(before, self._before, strict=True):
            assert _same(after) == _same(was), _differences(_same(after), _same(was))
            assert {path: found[1] for path, found in after.items()} == {
                path: found[1] for path, found in was.items()
            }

    def _is_left_out(self, user: int, call: Call) -> bool:
        """Returns whether a call cannot be compared."""
        name, arguments = call
        if name == "utimens" and self._is_coarse:
            # Shown as it was given (docs/posix.md).
            return any(
                nanoseconds < 10**9 and not _FIRST_SECOND < seconds < _LAST_SECOND
                for seconds, nanoseconds in arguments[1:]
            )
        if name == "pwrite" and arguments[2] > FILE_BYTES_MAX:
            # With the writeback cache taken, and refused at close; refused, it has cleared set-id
            # bits before (docs/posix.md).
            return self._is_coarse or (bool(USERS[user].uid) and _has_set_id(self._before[0]))
        if name != "open" or arguments[2] & os.O_PATH or not _has_devices(self._before[0]):
            return False
        # The host may have a driver; a mount has no devices (docs/posix.md).
        shown = self._everywhere(0, ("stat", (arguments[1],)))[0]
        return not isinstance(shown, Failed) and _is_device(shown[0])

    def _has_times(self, world: World, call: Call) -> bool:
        """Returns whether times can be compared.

        See docs/posix.md: ext4 sees that an attribute gets the value it has, and leaves ctime; with
        the writeback cache the kernel sees that a path is truncated to the size it has.
        """
        return call[0] != "setxattr" and not (world.is_coarse and call[0] == "truncate")

    def _everywhere(self, user: int, call: Call, *, skip: int = 0) -> list[Any]:
        for world in self._worlds[skip:]:
            world.start(user, call)
        return [world.result(user) for world in self._worlds[skip:]]

    def _pictures(self) -> list[Picture]:
        return self._everywhere(0, ("picture", ()))
