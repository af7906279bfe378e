"""The mount itself: `/dev/fuse`, mount and unmount, the handshake of INIT, and raw notifications.

We mount ourselves and hand libfuse the descriptor (its `/dev/fd/N`), because it then is known, a
refusal has its errno, and the handshake can be ours where libfuse's defaults cost requests:

- FUSE_AUTO_INVAL_DATA off: it drops the pages of every file that was written and then looked at.
- FUSE_HANDLE_KILLPRIV_V2 on: else the kernel asks for `security.capability` at every single
  write(2). The handlers take set-id bits and capabilities away themselves.
- FUSE_CACHE_SYMLINKS on: targets never change under a node.

libfuse must see an INIT, so the first request is read here, passed to it through a socket pair with
the unwanted offers taken out, and its reply completed on the way back; then the device takes the
socket's place under the same number.

Source: include/uapi/linux/fuse.h, fs/fuse/inode.c (process_init_reply), util/fusermount.c and
lib/mount.c of libfuse.
"""

import array
import ctypes
import errno
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pyi_fs.errors import BusyError, NotFoundError, UnsupportedError

_AUTO_INVAL_DATA = 1 << 12
_HANDLE_KILLPRIV = 1 << 19
_CACHE_SYMLINKS = 1 << 23
_HANDLE_KILLPRIV_V2 = 1 << 28
_NOT_OFFERED = _AUTO_INVAL_DATA | _HANDLE_KILLPRIV
_ADDED = _CACHE_SYMLINKS | _HANDLE_KILLPRIV_V2
_FLAGS = struct.Struct("<I")
_FLAGS_IN_REQUEST = 40 + 12
_FLAGS_IN_REPLY = 16 + 12
_OUT_HEADER = struct.Struct("<IiQ")
_NOTIFY_INC_EPOCH = 8
_EPOCH_SINCE = (6, 16)
# What the kernel wants a reader to have room for: the largest request and its header.
_REQUEST_BYTES_MAX = (1 << 20) + 4096
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class DeviceOptions:
    """What mount(2) is told. `options`: more of them, as in fstab."""

    fsname: str
    allow_other: bool = False
    read_only: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mounted:
    """A mount: its open device and where it is; `number` is its major:minor in mountinfo."""

    device: int
    mountpoint: Path
    number: str

    def is_mounted(self) -> bool:
        """Returns whether it still is where it was."""
        return (self.number, str(self.mountpoint)) in _mounts()


def unmount_command(mountpoint: Path) -> list[str]:
    """Returns the command that takes a mount away, also while it is in use.

    A command, since a thread of the process that serves the mount must not wait for it.
    """
    if os.geteuid() == 0:
        return ["umount", "--lazy", "--no-canonicalize", str(mountpoint)]
    return ["fusermount3", "-u", "-z", "--", str(mountpoint)]


def mount(mountpoint: Path, options: DeviceOptions) -> Mounted:
    """Mounts; nothing may touch the mountpoint until the device is served.

    `OSError`, `BusyError`.
    """
    mountpoint = mountpoint.resolve()
    if not stat.S_ISDIR(mountpoint.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(mountpoint))
    return _mounted(mountpoint, mountpoint, options)


def mount_on(directory: int, mountpoint: Path, options: DeviceOptions) -> Mounted:
    """Mounts on an open directory, whose path that is: asks nobody what is on the way there.

    For a process that serves mounts. `OSError`, `BusyError`.
    """
    return _mounted(Path(f"/proc/self/fd/{directory}"), mountpoint, options)


def _mounted(target: Path, mountpoint: Path, options: DeviceOptions) -> Mounted:
    before = _mounts()
    if os.geteuid() == 0:
        device = _mount_privileged(target, options)
    else:
        # It has privileges, so it is told a path, and looks at it itself.
        device = _mount_by_helper(mountpoint, options)
    added = [number for number, path in _mounts() - before if path == str(mountpoint)]
    if not added:
        os.close(device)
        raise BusyError(f"{mountpoint} is not visible as a mount of this process")
    return Mounted(device, mountpoint, added[0])


def _mount_privileged(mountpoint: Path, options: DeviceOptions) -> int:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    data = [f"fd={device}", "rootmode=40000", f"user_id={os.getuid()}", f"group_id={os.getgid()}"]
    data += ["default_permissions", *(["allow_other"] if options.allow_other else [])]
    flags = _MS_NOSUID | _MS_NODEV | (_MS_RDONLY if options.read_only else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.mount(
        os.fsencode(options.fsname),
        os.fsencode(mountpoint),
        b"fuse.pyi",
        ctypes.c_ulong(flags),
        ",".join([*data, *options.options]).encode(),
    )
    if failed:
        number = ctypes.get_errno()
        os.close(device)
        raise OSError(number, f"mount: {os.strerror(number)}", str(mountpoint))
    return device


def _mount_by_helper(mountpoint: Path, options: DeviceOptions) -> int:
    """Returns the device that fusermount3 sends back: it mounts for users who may not."""
    fsname = options.fsname.replace("\\", "\\\\").replace(",", "\\,")
    words = [f"fsname={fsname}", "subtype=pyi", "nosuid", "nodev", "default_permissions"]
    words += ["ro"] if options.read_only else []
    words += ["allow_other"] if options.allow_other else []
    helper = shutil.which("fusermount3")
    if helper is None:
        raise UnsupportedError("fusermount3 is needed to mount as this user")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # env(1) adds one variable to an environment that only command lines look at.
        command = ["env", f"_FUSE_COMMFD={theirs.fileno()}", helper]
        done = subprocess.run(
            [*command, "-o", ",".join([*words, *options.options]), "--", str(mountpoint)],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise OSError(errno.EPERM, done.stderr.decode(errors="replace").strip())
        theirs.close()
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            device = array.array("i", data)[0]
            os.set_inheritable(device, False)
            return device
    raise NotFoundError("fusermount3 sent no descriptor")


def _mounts() -> set[tuple[str, str]]:
    """Returns (major:minor, mount point) of every mount this process sees."""
    found = set()
    # Not `splitlines`: a path may have a carriage return in it.
    for line in _MOUNTINFO.read_bytes().rstrip(b"\n").split(b"\n"):
        fields = line.split(b" ")
        path = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), fields[4])
        found.add((fields[2].decode(), os.fsdecode(path)))
    return found


class Handshake:
    """Passes INIT between the kernel and libfuse.

    `session_fd` is what libfuse is given, before and after.
    """

    def __init__(self, device: int) -> None:
        """Reads INIT, there since the mount, and shows libfuse the offers it shall take."""
        self._device = device
        session, self._ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.session_fd = session.detach()
        request = bytearray(os.read(device, _REQUEST_BYTES_MAX))
        (self._offered,) = _FLAGS.unpack_from(request, _FLAGS_IN_REQUEST)
        _FLAGS.pack_into(request, _FLAGS_IN_REQUEST, self._offered & ~_NOT_OFFERED)
        self._ours.send(request)

    def finish(self) -> bool:
        """Completes libfuse's reply if it is there and puts the device in the socket's place.

        Returns whether it is done.
        """
        try:
            reply = bytearray(self._ours.recv(_REQUEST_BYTES_MAX, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
        if len(reply) >= _FLAGS_IN_REPLY + _FLAGS.size:
            (taken,) = _FLAGS.unpack_from(reply, _FLAGS_IN_REPLY)
            _FLAGS.pack_into(reply, _FLAGS_IN_REPLY, taken | self._offered & _ADDED)
        os.write(self._device, reply)
        os.dup2(self._device, self.session_fd, inheritable=False)
        os.close(self._device)
        self._ours.close()
        return True


def kernel_release() -> tuple[int, int]:
    """Returns the version of the running kernel, (0, 0) if it cannot be read."""
    words = os.uname().release.split(".")
    try:
        return int(words[0]), int(words[1].split("-")[0])
    except (IndexError, ValueError):
        return 0, 0


def has_epoch() -> bool:
    """Returns whether this kernel knows FUSE_NOTIFY_INC_EPOCH, going by its version."""
    return kernel_release() >= _EPOCH_SINCE


def notify_epoch(device: int) -> bool:
    """Makes every dentry of the mount be looked up again. Takes no lock.

    Returns False if the kernel does not know how.
    """
    try:
        os.write(device, _OUT_HEADER.pack(_OUT_HEADER.size, _NOTIFY_INC_EPOCH, 0))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def raise_limits(number: str, read_ahead_kb: int) -> None:
    """Lets a mount use the page cache as a disk may, if we are root.

    FUSE mounts begin with 1 % of it for dirty pages, and 128 KiB of read-ahead.
    """
    directory = Path("/sys/class/bdi", number)
    for name, value in (("strict_limit", 0), ("max_ratio", 100), ("read_ahead_kb", read_ahead_kb)):
        try:
            (directory / name).write_text(f"{value}\n")
        except OSError:
            continue
