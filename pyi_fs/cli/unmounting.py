"""Ending a mount, and clearing away one whose process is dead.

A thread of the serving process must never wait for its own mount, so all of this is for others.
Nothing is waited for without a bound (`cli/waiting.py`).
"""

import errno
import os
import shutil
import subprocess
import tempfile
from functools import partial

import click

from pyi_fs import limits
from pyi_fs.cli.arguments import Place, parsed_label
from pyi_fs.cli.live_mounts import live_mounts, wait_for_end
from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE, Mount, absolute, is_below, mount_at, mounts
from pyi_fs.cli.users import User, users_of
from pyi_fs.cli.waiting import Patience
from pyi_fs.errors import BusyError, InvalidArgumentError, NotFoundError, UnsupportedError
from pyi_fs.store.directory_storage import DirectoryStorage

# More would not fit a line that somebody reads.
_USERS_SHOWN_MAX = 8
# A request to a process that is dead, and one that waited while it died.
_DEAD = {errno.ENOTCONN, errno.ECONNABORTED}


def unmount(path: str) -> Mount:
    """Ends a mount and returns when its process, and with it everything unsynced, is done.

    `NotFoundError` if nothing is mounted there, `InvalidArgumentError` if it is not ours,
    `BusyError` naming the processes that use it, or if its process does not answer.
    """
    mountpoint = absolute(path)
    mount = mount_at(mountpoint)
    if mount is None:
        raise NotFoundError(f"nothing is mounted at {mountpoint}")
    if mount.type != FILESYSTEM_TYPE:
        raise InvalidArgumentError(
            f"{mountpoint} is a mount of type {mount.type}, not one of pyi-mount: use umount"
        )
    if is_stale(mountpoint):
        detach(mountpoint)
    else:
        _take_away(mount)
    _wait(mount)
    return mount


def is_stale(mountpoint: str) -> bool:
    """Returns whether the process that served a mountpoint is dead.

    One that is just dying is waited for: its requests are answered when its last descriptor goes.
    `BusyError` for one of ours that does not answer.
    """
    mount = mount_at(mountpoint)
    if mount is None or mount.type != FILESYSTEM_TYPE:
        return _statvfs_errno(mountpoint) in _DEAD
    patience = _patience(mount, f"{mountpoint} does not answer", limits.ANSWER_SECONDS_MAX)
    return patience.call(partial(_statvfs_errno, mountpoint)) in _DEAD


def detach(mountpoint: str) -> None:
    """Takes a dead mount away, also while processes stand in it."""
    done = _run(_command(mountpoint, lazy=True))
    if done.returncode:
        raise BusyError(f"{mountpoint} is dead and cannot be taken away: {_said(done)}")


def _statvfs_errno(mountpoint: str) -> int:
    try:
        # Not stat(2): the kernel answers that from attributes it has kept, long after the death.
        os.statvfs(mountpoint)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _take_away(mount: Mount) -> None:
    mountpoint = mount.mountpoint
    done = _run(_command(mountpoint, lazy=False), mount)
    if done.returncode == 0:
        return
    inside = [
        other.mountpoint
        for other in mounts()
        if other.mountpoint != mountpoint and is_below(other.mountpoint, mountpoint)
    ]
    users = users_of(mountpoint)
    if inside or users:
        raise BusyError(f"{mountpoint} is in use: {_shown(inside, users)}; end them and try again")
    raise BusyError(f"{mountpoint} cannot be unmounted: {_said(done)}")


def _shown(inside: list[str], users: list[User]) -> str:
    words = [f"{path} is mounted in it" for path in inside] + [str(user) for user in users]
    more = len(words) - _USERS_SHOWN_MAX
    return ", ".join(words[:_USERS_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def _command(mountpoint: str, *, lazy: bool) -> list[str]:
    if os.geteuid() == 0:
        return ["umount", "--no-canonicalize", *(["--lazy"] if lazy else []), mountpoint]
    if shutil.which("fusermount3") is None:
        raise UnsupportedError("fusermount3 is missing: install the package fuse3")
    return ["fusermount3", "-u", *(["-z"] if lazy else []), "--", mountpoint]


def _run(command: list[str], mount: Mount | None = None) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        if mount is not None:
            what = f"{mount.mountpoint} cannot be unmounted yet"
            _patience(mount, what, limits.ANSWER_SECONDS_MAX).wait(process.pid)
        code = process.wait()
        said.seek(0)
        return subprocess.CompletedProcess(command, code, "", said.read())


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    return done.stderr.strip().replace("\n", "; ") or f"exit code {done.returncode}"


def _wait(mount: Mount) -> None:
    found = _stored(mount)
    if found is not None:
        storage, where = found

        def wait() -> int:
            wait_for_end(storage, mount.mountpoint, where.workspace, where.at)
            return 0

        what = f"{mount.mountpoint} is unmounted, but what it was told last is not durable yet"
        _patience(mount, what, limits.END_SECONDS_MAX).call(wait)


def _patience(mount: Mount, what: str, seconds: float) -> Patience:
    found = _stored(mount)
    pids = []
    if found is not None:
        storage, where = found
        pids = [
            (live.since_ns, live.pid)
            for live in live_mounts(storage)
            if (live.mountpoint, live.workspace) == (mount.mountpoint, where.workspace)
        ]
    return Patience(what, max(pids)[1] if pids else None, seconds)


def _stored(mount: Mount) -> tuple[DirectoryStorage, Place] | None:
    """Returns the store and the place in it that a mount shows, as far as this user may look."""
    try:
        store, where = parsed_label(mount.source)
    except click.BadParameter:
        # Mounted by who gives it another name.
        return None
    # Not `Path.is_dir`: in a directory of another user it raises.
    if store is not None and os.path.isdir(store) and os.access(store, os.R_OK | os.X_OK):
        return DirectoryStorage(store), where
    return None
