"""The words of `mount -o`: those of the kernel, those of pyi-mount, and those for others.

Source: mount(8), mount(2), mount.fuse3(8).
"""

import ctypes
import os
from dataclasses import dataclass, field
from typing import NamedTuple

from pyi_fs.errors import InvalidArgumentError

_MS_REMOUNT, _MS_BIND, _MS_RDONLY = 32, 4096, 1
_MS_RELATIME, _MS_STRICTATIME = 1 << 21, 1 << 24


class _Flag(NamedTuple):
    bit: int
    is_set: bool


_FLAGS = {
    "nosuid": _Flag(2, True),
    "suid": _Flag(2, False),
    "nodev": _Flag(4, True),
    "dev": _Flag(4, False),
    "noexec": _Flag(8, True),
    "exec": _Flag(8, False),
    "noatime": _Flag(1024, True),
    "atime": _Flag(1024, False),
    "nodiratime": _Flag(2048, True),
    "diratime": _Flag(2048, False),
    "relatime": _Flag(_MS_RELATIME, True),
    "norelatime": _Flag(_MS_RELATIME, False),
    "strictatime": _Flag(_MS_STRICTATIME, True),
    "nosymfollow": _Flag(256, True),  # Linux 5.10
    "symfollow": _Flag(256, False),
}
# For mount(8), systemd and other programs; `defaults` and what we always do.
_FOR_OTHERS = frozenset(
    {
        *("defaults", "auto", "noauto", "user", "nouser", "users", "group", "owner"),
        *("nofail", "_netdev", "async", "default_permissions", "fd", "subtype", "silent"),
    }
)
_PROGRAM_FLAGS = {
    "allow_other": "--allow-other",
    "writeback": "--writeback",
    "over": "--over",
    "nonempty": "--over",
    "must_exist": "--must-exist",
    "no_holder": "--no-holder",
}
_PROGRAM_VALUES = {
    "branch": "--branch",
    "sync_interval": "--sync-interval",
    "ephemeral_bytes": "--ephemeral-bytes",
    "snapshot_every": "--snapshot-every",
    "control_uid": "--control-uid",
    "transport": "--transport",
    "spin_us": "--spin-us",
}
_SET_AT_MOUNT = 2 | 4


@dataclass
class MountWords:
    """What the words of `-o` come to. `arguments`: for pyi-mount; `flags`: for the kernel."""

    arguments: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    read_only: bool = False
    is_remount: bool = False


def parsed_words(text: str, *, sloppy: bool = False) -> MountWords:
    """Returns what the words mean, later ones winning. Those of pyi-mount may have `-` for `_`.

    `InvalidArgumentError` for an unknown one, unless `sloppy`.
    """
    found = MountWords()
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        own = name.replace("-", "_")
        if word in ("ro", "rw"):
            found.read_only = word == "ro"
        elif word == "remount":
            found.is_remount = True
        elif word in _FLAGS:
            found.flags.append(word)
        elif own in _PROGRAM_VALUES and value:
            found.arguments.append(f"{_PROGRAM_VALUES[own]}={value}")
        elif own in _PROGRAM_FLAGS and own == word.replace("-", "_"):
            found.arguments.append(_PROGRAM_FLAGS[own])
        elif not (sloppy or name in _FOR_OTHERS or name.lower().startswith(("x-", "comment"))):
            raise InvalidArgumentError(f"unknown mount option '{word}' ({_own_words()})")
    return found


def _own_words() -> str:
    words = sorted([*_PROGRAM_FLAGS, *(f"{name}=" for name in _PROGRAM_VALUES)])
    return f"those of pyi-mount are: {', '.join(words)}"


def check_flags(words: tuple[str, ...]) -> None:
    """Raises `InvalidArgumentError` for a word that is no flag of the kernel."""
    for word in words:
        if word not in _FLAGS:
            raise InvalidArgumentError(f"not a flag of mount(2): '{word}'")


def set_flags(mountpoint: str, words: tuple[str, ...]) -> None:
    """Gives a fresh mount, which has nosuid and nodev, other flags. Asks its server nothing."""
    wanted = _bits(_SET_AT_MOUNT | _MS_RELATIME, words)
    _mount(mountpoint, _MS_REMOUNT | _MS_BIND | wanted)


def remount(mountpoint: str, found: MountWords) -> None:
    """Gives a mount the flags that mount(8) worked out, `ro` and `rw` for its whole filesystem.

    What is not named is off: mount(8) names all that is to stay. Never to be called by the process
    that serves the mount.
    """
    bits = _bits(0, tuple(found.flags))
    _mount(mountpoint, _MS_REMOUNT | bits | (_MS_RDONLY if found.read_only else 0))


def _bits(bits: int, words: tuple[str, ...]) -> int:
    for word in words:
        flag = _FLAGS[word]
        bits = bits | flag.bit if flag.is_set else bits & ~flag.bit
        if word in ("noatime", "strictatime"):
            bits &= ~_MS_RELATIME
    return bits


def _mount(mountpoint: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(mountpoint), None, ctypes.c_ulong(flags), None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), mountpoint)
