"""The mounts that this process sees.

Source: proc_pid_mountinfo(5); show_mountinfo() in fs/proc_namespace.c, which of all that ends lines
escapes the newline only. Nothing here touches a mount: that could wait for a dead server.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from pyi_fs.errors import InvalidArgumentError, NotFoundError

FILESYSTEM_TYPE = "fuse.pyi"
_MOUNTINFO = Path("/proc/self/mountinfo")
# As the kernel: path_resolution(7).
_LINKS_MAX = 40


class Mount(NamedTuple):
    """One line of mountinfo.

    `options` are those of the mount, `super_options` of its filesystem.
    """

    number: int
    parent: int
    device: str
    mountpoint: str
    options: tuple[str, ...]
    type: str
    source: str
    super_options: tuple[str, ...]


def mounts() -> list[Mount]:
    """Returns all mounts, in the order they were made where the kernel tells so."""
    # Not `splitlines`: a path may have in it what Python takes for the end of a line.
    lines = os.fsdecode(_MOUNTINFO.read_bytes()).split("\n")
    return [parsed(line) for line in lines if line]


def parsed(line: str) -> Mount:
    """Returns the mount that a line of mountinfo tells of."""
    before, _, after = line.partition(" - ")
    first, last = before.split(" "), after.split(" ")
    return Mount(
        int(first[0]),
        int(first[1]),
        first[2],
        _unescaped(first[4]),
        tuple(first[5].split(",")),
        last[0],
        _unescaped(last[1]),
        tuple(last[2].split(",")),
    )


def absolute(path: str | Path) -> str:
    """Returns a path without symbolic links and dots, like those in mountinfo.

    Of the last name only a link is read, which asks no server: what is mounted there may be dead.
    `NotFoundError` if the path is relative to a directory that is gone.
    """
    try:
        text = os.path.abspath(path)
    except FileNotFoundError:
        raise NotFoundError("the current directory is gone: go to another one") from None
    for _ in range(_LINKS_MAX):
        directory, name = os.path.split(text)
        if name in ("", ".", ".."):
            return os.path.realpath(text)
        directory = os.path.realpath(directory)
        text = os.path.join(directory, name)
        try:
            target = os.readlink(text)
        except OSError:
            break
        text = os.path.join(directory, target.rstrip("/") or "/")
    return text


def mount_at(mountpoint: str) -> Mount | None:
    """Returns the topmost mount at exactly that path, or None."""
    found = [mount for mount in mounts() if mount.mountpoint == mountpoint]
    # The kernel gives out free ids again: who is on top is who is nobody's parent here.
    parents = {mount.parent for mount in found}
    tops = [mount for mount in found if mount.number not in parents]
    return tops[-1] if tops else None


def our_mount_at(mountpoint: str) -> Mount:
    """Returns the topmost mount at exactly that path; `NotFoundError` if there is none.

    `InvalidArgumentError` if it is not one of ours.
    """
    mount = mount_at(mountpoint)
    if mount is None:
        raise NotFoundError(f"nothing is mounted at {mountpoint}")
    if mount.type != FILESYSTEM_TYPE:
        raise InvalidArgumentError(f"{mountpoint} is a mount of type {mount.type}, not one of ours")
    return mount


def mount_of(path: str) -> Mount | None:
    """Returns the mount that a path lies on, as far as this process sees it.

    Asks the kernel: by its name alone a path may lie on a mount that another one has covered. By
    its name where it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return _mount_of_name(path)
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)
    numbers = [int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:")]
    found = [mount for mount in mounts() if mount.number in numbers]
    return found[0] if found else _mount_of_name(path)


def _mount_of_name(path: str) -> Mount | None:
    best: Mount | None = None
    for mount in mounts():
        if is_below(path, mount.mountpoint) and (
            best is None or len(mount.mountpoint) >= len(best.mountpoint)
        ):
            best = mount
    return best


def is_below(path: str, directory: str) -> bool:
    """Returns whether a path is a directory or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    return os.fsdecode(
        re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), os.fsencode(text))
    )
