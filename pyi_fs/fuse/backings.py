"""The kernel's ids for files that it is to read itself, and who may ask for them.

ioctls of `/dev/fuse`.

Source: include/uapi/linux/fuse.h, fs/fuse/backing.c of Linux 6.18.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from pyi_fs.fuse import protocol

_CAP_SYS_ADMIN_BIT = 1 << 21
# The first user namespace maps every number to itself.
_ALL_USERS = ["0", "0", "4294967295"]


class Backings(Protocol):
    """The kernel's ids for files that it shall read."""

    def open(self, path: str) -> int:
        """Returns a new id for a file of the host. `OSError`."""

    def close(self, backing: int) -> None:
        """Gives an id up; who has a file open by it reads on."""


class KernelBackings:
    """Implements `Backings` on `/dev/fuse`."""

    def __init__(self, device: int) -> None:
        """Takes a descriptor that stays the transport's."""
        self._device = device

    def open(self, path: str) -> int:
        """Returns a new id for a file of the host. `OSError`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            asked = bytearray(protocol.backing_map(descriptor))
            return int(fcntl.ioctl(self._device, protocol.BACKING_OPEN, asked))
        finally:
            os.close(descriptor)

    def close(self, backing: int) -> None:
        """Gives an id up."""
        fcntl.ioctl(self._device, protocol.BACKING_CLOSE, bytearray(protocol.backing_id(backing)))


def is_permitted() -> bool:
    """Returns whether the kernel may let this process have files passed through."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        users = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) & _CAP_SYS_ADMIN_BIT) and users == _ALL_USERS
