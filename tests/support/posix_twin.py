"""A mount and a host directory driven together by the same calls of the same users."""

import shutil
import time
from itertools import count
from pathlib import Path
from typing import Any

from pyi_fs.limits import FILE_BYTES_MAX
from tests.support.mounting import Mount
from tests.support.posix_actor import Actor, User
from tests.support.posix_calls import Call, Failed

USERS = (User(0, 0), User(65534, 65534), User(1000, 1000, (65534, 2000)), User(0, 0))
"""Two processes of root and two users; the second has supplementary groups."""

_CLOCK_REALTIME_COARSE = 5
# A mount has no devices (docs/posix.md), the host no driver for those that are made.
_DEVICE_OPENED = Failed("EACCES"), Failed("ENXIO")

Picture = dict[str, tuple[Any, ...]]
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


def _touched(before: Picture, after: Picture) -> dict[tuple[str, ...], tuple[bool, bool]]:
    """Returns which files, by all their names now, have another mtime, ctime."""
    old = _times(before)
    names: dict[int, list[str]] = {}
    for path, (number, _, _) in after.items():
        names.setdefault(number, []).append(path)
    return {
        tuple(sorted(names[number])): (new[0] != old[number][0], new[1] != old[number][1])
        for number, new in _times(after).items()
        if number in old and new != old[number]
    }


def _same(picture: Picture) -> dict[str, Any]:
    return {path: same for path, (_, _, same) in picture.items()}


def _differences(mount: dict[str, Any], host: dict[str, Any]) -> str:
    """Returns the paths that differ, with what they are on the mount and on the host."""
    paths = [path for path in sorted({*mount, *host}) if mount.get(path) != host.get(path)]
    return ", ".join(f"{path}: {mount.get(path)} / {host.get(path)}" for path in paths)


class Twin:
    """Two worlds, each with one process for each user.

    `is_coarse`: times on the mount are those of the kernel's clock that ticks.
    """

    def __init__(self, mount: Mount, host: Path, *, is_coarse: bool = False) -> None:
        self.mount = mount
        self._is_coarse = is_coarse
        # See docs/posix.md: ext4 sees that an attribute gets the value it has, and leaves ctime;
        # with the writeback cache the kernel sees that a path is truncated to the size it has.
        self._other_times = {"setxattr", "truncate"} if is_coarse else {"setxattr"}
        self._tops = (host, mount.path)
        self._numbers = count()
        self._worlds = [[Actor(top, user) for user in USERS] for top in self._tops]
        self._places: list[Path] = []
        self._before: list[Picture] = []
        self.calls = 0

    def close(self) -> None:
        """Ends the processes, and takes away what they made where others come, too."""
        for actor in [*self._worlds[0], *self._worlds[1]]:
            actor.close()
        for place in self._places:
            shutil.rmtree(place, ignore_errors=True)

    def begin(self) -> None:
        """Moves into a fresh directory with a few files in it."""
        # Without its mount, the mountpoint is the host's: everything would be equal.
        assert self.mount.path.is_mount(), self.mount.process.poll()
        name = str(next(self._numbers))
        for place in self._places:
            shutil.rmtree(place, ignore_errors=True)
        self._places = [top / name for top in self._tops]
        for place, world in zip(self._places, self._worlds, strict=True):
            place.mkdir()
            place.chmod(0o777)
            for actor in world:
                actor.do("chdir", str(place))
                actor.do("close_all")
                actor.do("umask", 0o022)
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
        """Makes a call in both worlds and compares result, tree and touched times."""
        if self._is_coarse and call[0] == "pwrite" and call[1][2] > FILE_BYTES_MAX:
            # Taken, and refused at close (docs/posix.md).
            return None
        if self._is_coarse:
            # Else a change in the tick of the one before would be seen in no time.
            tick()
        mine, theirs = self._both(user, call)
        if (mine, theirs) != _DEVICE_OPENED:
            assert mine == theirs, f"{USERS[user]} {call}: {mine}, on the host {theirs}"
        pictures = self._pictures()
        host, mount = map(_same, pictures)
        assert mount == host, f"{USERS[user]} {call}: {_differences(mount, host)}"
        if call[0] not in self._other_times:
            was_host, was_mount = self._before
            touched = _touched(was_mount, pictures[1])
            on_host = _touched(was_host, pictures[0])
            assert touched == on_host, f"{USERS[user]} {call}: {touched}, on the host {on_host}"
        self._before = pictures
        self.calls += 1
        return mine

    def restore(self, lost: list[tuple[int, Call]]) -> None:
        """Takes a snapshot of the mount, does what shall be lost there, and restores.

        All files are closed first: the open ones would be orphans now.
        """
        for actor in [*self._worlds[0], *self._worlds[1]]:
            actor.do("close_all")
        before = self._worlds[1][0].do("picture")
        snapshot = self.mount.snapshot()
        masks = [[actor.do("umask", 0) for actor in world] for world in self._worlds]
        for user, call in lost:
            self._worlds[1][user].do(*_unpacked(call))
        for actor in self._worlds[1]:
            actor.do("close_all")
        self.mount.control("restore", snapshot)
        for world, world_masks in zip(self._worlds, masks, strict=True):
            for actor, mask in zip(world, world_masks, strict=True):
                actor.do("umask", mask)
        self._before = self._pictures()
        after = self._before[1]
        assert _same(after) == _same(before)
        assert {path: found[1] for path, found in after.items()} == {
            path: found[1] for path, found in before.items()
        }

    def _both(self, user: int, call: Call) -> tuple[object, object]:
        for world in self._worlds:
            world[user].start(call)
        theirs, mine = (world[user].result() for world in self._worlds)
        return mine, theirs

    def _pictures(self) -> list[Picture]:
        for world in self._worlds:
            world[0].start(("picture", ()))
        return [world[0].result() for world in self._worlds]


def _unpacked(call: Call) -> tuple[Any, ...]:
    return (call[0], *call[1])
