"""What mounting needs of this machine, each lack with its remedy.

Source: fuse(4), mount.fuse3(8), capabilities(7).
"""

import errno
import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyi_fs.cli.mountinfo import absolute, mount_of
from pyi_fs.cli.refused_filesystems import NO_STORE_ON

DEVICE = Path("/dev/fuse")
FUSE_CONF = Path("/etc/fuse.conf")
_STATUS = Path("/proc/self/status")
_UID_MAP = Path("/proc/self/uid_map")
_CAP_SYS_ADMIN = 21
FREE_BYTES_MIN = 1 << 30
# Segments, packs, the index and the user's own: see limits.OPEN_SEGMENTS_MAX.
DESCRIPTORS_MIN = 1024


class Lack(NamedTuple):
    """Something that is missing; `is_fatal`: nothing can be mounted without it."""

    what: str
    remedy: str
    is_fatal: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def lacks(store: Path, *, allow_other: bool) -> list[Lack]:
    """Returns what is missing for mounting with a store, the worst first."""
    found = [
        *_device(),
        *(_root() if os.geteuid() == 0 else _user(allow_other)),
        *_place(store),
        *_descriptors(),
        *_file_size(),
    ]
    return sorted(found, key=lambda lack: not lack.is_fatal)


def _device() -> Iterator[Lack]:
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        yield Lack(
            f"{DEVICE} is missing",
            "run `modprobe fuse` as root; start a container with `--device /dev/fuse`",
        )
    except OSError as error:
        if error.errno == errno.ENODEV or error.errno == errno.ENXIO:
            yield Lack(f"{DEVICE} has no driver", "run `modprobe fuse` as root")
        elif error.errno == errno.EACCES:
            yield Lack(
                f"{DEVICE} may not be opened by this user",
                f"as root run `chmod 0666 {DEVICE}`, or join its group if it has one",
            )
        else:
            yield Lack(
                f"{DEVICE} cannot be opened ({error.strerror})",
                "start the container with `--device /dev/fuse --cap-add SYS_ADMIN`",
            )


def _root() -> Iterator[Lack]:
    if not int(_status_field("CapEff") or "0", 16) >> _CAP_SYS_ADMIN & 1:
        yield Lack(
            "root may not mount here (no CAP_SYS_ADMIN)",
            "start the container with `--cap-add SYS_ADMIN`",
        )


def _user(allow_other: bool) -> Iterator[Lack]:
    helper = shutil.which("fusermount3")
    if helper is None:
        yield Lack(
            "fusermount3 is missing, with which users mount",
            "install the package fuse3, or mount as root",
        )
    else:
        status = Path(helper).stat()
        if _status_field("NoNewPrivs") == "1":
            yield Lack(
                f"{helper} cannot become root (this process has no_new_privs)",
                "take away what sets it (`--security-opt no-new-privileges` of a container, "
                "NoNewPrivileges= of a service), or mount as root",
            )
        if status.st_mode & stat.S_ISUID and not _has_root():
            yield Lack(
                f"{helper} cannot become root (there is none in this user namespace)",
                "make the namespace with `unshare --map-root-user --mount`, or mount outside of it",
            )
        elif not status.st_mode & stat.S_ISUID or status.st_uid != 0:
            yield Lack(
                f"{helper} is not set-uid root",
                "reinstall the package fuse3 (in some containers it cannot be)",
            )
    if allow_other and not _allows_others():
        yield Lack(
            f"{FUSE_CONF} does not let users mount for others",
            f"as root run `echo user_allow_other >> {FUSE_CONF}`, or leave out --allow-other",
        )


def _status_field(name: str) -> str | None:
    """Returns what the kernel says of this process under a name, None if it says nothing."""
    for line in _STATUS.read_text().splitlines():
        field, _, value = line.partition(":")
        if field == name:
            return value.strip()
    return None


def _has_root() -> bool:
    """Returns whether the root of the machine or of this user namespace can be become here."""
    ranges = [line.split() for line in _UID_MAP.read_text().splitlines()]
    return any(int(first) == 0 for first, _, _ in ranges)


def _allows_others() -> bool:
    try:
        lines = FUSE_CONF.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split("#")[0].strip() == "user_allow_other" for line in lines)


def _place(store: Path) -> Iterator[Lack]:
    existing = store
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    remedy = "name another place with `--store /local/DIR`"
    mount = mount_of(absolute(existing))
    if mount is not None and mount.type in NO_STORE_ON:
        yield Lack(
            f"the store {store} is on {NO_STORE_ON[mount.type]} ({mount.mountpoint})",
            f"a store needs a local disk: {remedy}",
        )
    if not existing.is_dir():
        yield Lack(f"{existing} is not a directory", remedy)
        return
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        what = f"{existing} may not be written by this user"
        new = "" if existing == store else f"the store {store} cannot be made, "
        yield Lack(new + what, remedy)
        return
    space = os.statvfs(existing)
    free = space.f_bavail * space.f_frsize
    if free < FREE_BYTES_MIN:
        yield Lack(
            f"only {free >> 20} MiB are free for the store {store}",
            f"make room, or {remedy}",
            is_fatal=free == 0,
        )


def _descriptors() -> Iterator[Lack]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_MIN:
        yield Lack(
            f"at most {hard} files may be open, {DESCRIPTORS_MIN} are needed",
            "raise it with `ulimit -Hn`, in /etc/security/limits.conf or LimitNOFILE=",
        )


def _file_size() -> Iterator[Lack]:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if hard != resource.RLIM_INFINITY:
        yield Lack(
            f"no file may be larger than {hard} bytes, those of the store neither",
            "raise it with `ulimit -Hf`, in /etc/security/limits.conf or LimitFSIZE=",
            is_fatal=False,
        )


def raise_file_size_limit() -> None:
    """Lifts the soft limit on the size of files to the hard one.

    It is meant for what the caller writes; the mount, which inherits it, would refuse everybody's
    writes with EFBIG once a journal has that size (setrlimit(2)).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def raise_descriptor_limit() -> None:
    """Makes the soft limit of open files at least what a mount needs, where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS_MIN:
        most = DESCRIPTORS_MIN if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MIN)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
