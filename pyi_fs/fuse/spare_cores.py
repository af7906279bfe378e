"""How many cores can be spared for polling here: one less than this process may use.

A client needs a core of its own while its server polls. On a single core, or under a quota of less
than two, polling takes from the client what it is to gain: nothing can be spared.

Source: sched_setaffinity(2); Documentation/admin-guide/cgroup-v2.rst, *cpu.max*;
Documentation/scheduler/sched-bwc.rst for version 1.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def spare_cores(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Returns how many cores may be kept busy by polling, 0 for none."""
    cores = len(os.sched_getaffinity(0))
    for quota, period in _quotas(cgroups, own):
        cores = min(cores, quota // period)
    return max(cores - 1, 0)


def _quotas(cgroups: Path, own: Path) -> Iterator[tuple[int, int]]:
    """Yields the quotas of the groups this process is in, in microseconds of each period.

    What cannot be read is no quota: many containers show their own group alone.
    """
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield from _found(cgroups, path, "cpu.max")
            elif "cpu" in controllers.split(","):
                yield from _found(cgroups / controllers, path, "cpu.cfs_quota_us")
                yield from _found(cgroups / "cpu", path, "cpu.cfs_quota_us")


def _found(root: Path, path: str, file: str) -> Iterator[tuple[int, int]]:
    group = PurePosixPath("/", path)
    for one in (group, *group.parents):
        with suppress(OSError, ValueError):
            directory = root / one.relative_to("/")
            words = (directory / file).read_text().split()
            if len(words) == 1:
                words.append((directory / "cpu.cfs_period_us").read_text())
            quota, period = words[0], int(words[1])
            if quota not in ("max", "-1") and period > 0:
                yield int(quota), period
