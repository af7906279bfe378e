"""Which processes use a mount: by their working directories, roots, open files and mappings.

Only names that the kernel keeps are compared; nothing on the mount is touched. Processes of others
are seen as far as we may look.

Source: proc_pid_fd(5), proc_pid_maps(5).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyi_fs.cli.mountinfo import is_below

_PROC = "/proc"


class User(NamedTuple):
    """A process and how it uses the mount."""

    pid: int
    command: str
    how: str

    def __str__(self) -> str:
        return f"{self.pid} {self.command} ({self.how})"


def users_of(mountpoint: str) -> list[User]:
    """Returns the processes that use a mount, by number."""
    found = []
    for name in os.listdir(_PROC):
        if name.isdecimal() and int(name) != os.getpid():
            how = next(_uses(f"{_PROC}/{name}", mountpoint), None)
            if how is not None:
                found.append(User(int(name), _command(name), how))
    return sorted(found)


def _uses(process: str, mountpoint: str) -> Iterator[str]:
    for link, how in (("cwd", "working directory"), ("root", "root"), ("exe", "program")):
        path = _target(f"{process}/{link}")
        if path is not None and is_below(path, mountpoint):
            yield how if path == mountpoint else f"{how} {path}"
    try:
        descriptors = os.listdir(f"{process}/fd")
    except OSError:
        descriptors = []
    for descriptor in descriptors:
        path = _target(f"{process}/fd/{descriptor}")
        if path is not None and is_below(path, mountpoint):
            yield f"open {path}"
    try:
        maps = Path(f"{process}/maps").read_bytes()
    except OSError:
        return
    for line in maps.split(b"\n"):
        path = os.fsdecode(line.partition(b"/")[2])
        if path and is_below("/" + path, mountpoint):
            yield f"mapped /{path}"


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _command(name: str) -> str:
    try:
        return Path(f"{_PROC}/{name}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
