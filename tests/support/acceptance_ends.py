"""Ways for a served mount to end, for the crash test; each says in a word what happened.

Not all of them are deaths: the process that seals may be killed, and the mount goes on until it is
killed itself.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.acceptance import Served

# How long a process may need to notice that its mount is dead.
NOTICE_SECONDS = 30
_CGROUPS = Path("/sys/fs/cgroup")
_POLL_SECONDS = 0.005


def killed(mount: Served, rng: random.Random) -> str:
    """`kill -9` at a random moment."""
    time.sleep(rng.uniform(0.05, 1.5))
    mount.crash()
    return "killed"


def killed_itself(mount: Served, rng: random.Random) -> str:
    """It dies at the moment it was told (`acceptance_death`), or is killed if that never comes."""
    mount.process.send_signal(signal.SIGUSR1)
    try:
        mount.process.wait(rng.uniform(2.0, 3.0))
    except subprocess.TimeoutExpired:
        mount.crash()
        return "killed, the moment never came"
    mount.crash()
    return "killed itself"


def terminated(mount: Served, rng: random.Random) -> str:
    """SIGTERM while it is used: it unmounts, and what it had acknowledged is there."""
    time.sleep(rng.uniform(0.05, 1.0))
    mount.process.send_signal(signal.SIGTERM)
    _wait(mount)
    assert mount.process.returncode == 0, mount.log
    return "terminated"


def detached(mount: Served, rng: random.Random) -> str:
    """`umount -l` while it is used: its process ends when nobody has a file open any more."""
    time.sleep(rng.uniform(0.05, 1.0))
    subprocess.run(["umount", "-l", str(mount.path)], check=True, timeout=NOTICE_SECONDS)
    _wait(mount)
    assert mount.process.returncode == 0, mount.log
    return "detached"


def without_sealer(mount: Served, rng: random.Random) -> str:
    """Its worker processes are killed as they come; the mount goes on and is killed at the end."""
    count, end = 0, time.monotonic() + rng.uniform(1.0, 2.5)
    time.sleep(rng.uniform(0.0, 0.3))
    while time.monotonic() < end:
        for child in _children(mount.process.pid):
            if b"pyi_fs" in _command(child):
                time.sleep(rng.uniform(0.0, 0.3))
                count += _killed(child)
        time.sleep(_POLL_SECONDS)
    os.listdir(mount.path)
    mount.crash()
    return f"killed after {count} of its workers"


def out_of_memory(mount: Served, rng: random.Random) -> str:
    """A memory cgroup on the mount process that runs full: the kernel kills it, in any call."""
    with _memory_cgroup(mount.process.pid, rng.randrange(1 << 20, 8 << 20)) as is_limited:
        try:
            mount.process.wait(3.0 if is_limited else rng.uniform(0.1, 1.0))
            how = "out of memory"
        except subprocess.TimeoutExpired:
            how = "killed, with memory to spare" if is_limited else "killed (no memory cgroup here)"
        mount.crash()
    return how


Ending = Callable[[Served, random.Random], str]


def assert_nothing_hangs(mountpoint: Path, *, is_dead: bool) -> None:
    """A stat of the mountpoint answers at once, also in a process of its own; ENOTCONN if dead."""
    done = subprocess.run(
        ["stat", str(mountpoint)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=NOTICE_SECONDS,
        check=False,
    )
    if is_dead:
        assert b"Transport endpoint is not connected" in done.stderr, done
    else:
        assert done.returncode == 0, done


def assert_nobody_waits(place: Path) -> None:
    """No process that names the place in its command line stays in D state, or stays at all."""
    end = time.monotonic() + NOTICE_SECONDS
    while True:
        left = dict(_states(place))
        if not left:
            return
        assert time.monotonic() < end, f"processes that did not end: {left}"
        time.sleep(_POLL_SECONDS * 10)


def _states(place: Path) -> Iterator[tuple[int, str]]:
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or int(entry) == os.getpid():
            continue
        if os.fsencode(str(place)) in _command(int(entry)):
            try:
                state = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z":
                yield int(entry), state


def _command(pid: int) -> bytes:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


def _children(pid: int) -> list[int]:
    found = []
    try:
        for task in Path("/proc", str(pid), "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        pass
    return found


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _wait(mount: Served) -> None:
    mount.process.wait(NOTICE_SECONDS)
    assert mount.process.stdout is not None
    mount.process.stdout.close()


@contextmanager
def _memory_cgroup(pid: int, bytes_max: int) -> Iterator[bool]:
    """Limits what a process may take from now on; false where no cgroup can be made."""
    top, limit = _CGROUPS / "memory", "memory.limit_in_bytes"
    if not top.exists():
        top, limit = _CGROUPS, "memory.max"
    group = top / f"pyi-crash-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield False
        return
    try:
        try:
            (group / limit).write_text(str(bytes_max))
            (group / "cgroup.procs").write_text(str(pid))
            is_limited = True
        except OSError:
            is_limited = False
        yield is_limited
    finally:
        _remove_group(group)


def _remove_group(group: Path) -> None:
    end = time.monotonic() + NOTICE_SECONDS
    while True:
        for pid in (group / "cgroup.procs").read_text().split():
            # A worker that the mount left behind.
            _killed(int(pid))
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < end, f"{group} does not go"
            time.sleep(_POLL_SECONDS)
        else:
            return
