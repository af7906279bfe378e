"""The mount's own parts that need no mount: the handshake's bytes, options, what mountinfo says."""

import os
import socket
import struct
from pathlib import Path

import pytest

from pyi_fs.fuse import device
from pyi_fs.fuse.device import DeviceOptions, Handshake, Mounted

AUTO_INVAL_DATA, HANDLE_KILLPRIV = 1 << 12, 1 << 19
CACHE_SYMLINKS, KILLPRIV_V2, ASYNC_READ = 1 << 23, 1 << 28, 1


def request(flags):
    """Returns an INIT request: header, then major, minor, read-ahead, flags."""
    body = struct.pack("<IIIII", 7, 45, 131072, flags, 0) + bytes(44)
    return struct.pack("<IIQQIIIHH", 40 + len(body), 26, 2, 0, 0, 0, 0, 0, 0) + body


def reply(flags):
    """Returns an INIT reply."""
    body = struct.pack("<IIII", 7, 38, 131072, flags) + bytes(48)
    return struct.pack("<IiQ", 16 + len(body), 0, 2) + body


@pytest.fixture
def kernel():
    """Gives our end of a socket in the place of the device, and the other as its descriptor."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ours, theirs.detach()
    ours.close()


def test_handshake_changes_the_flags_both_ways_and_then_steps_aside(kernel):
    ours, descriptor = kernel
    offered = AUTO_INVAL_DATA | HANDLE_KILLPRIV | CACHE_SYMLINKS | KILLPRIV_V2 | ASYNC_READ
    ours.send(request(offered))
    handshake = Handshake(descriptor)
    session = handshake.session_fd
    seen = os.read(session, 4096)
    assert struct.unpack_from("<I", seen, 52)[0] == offered & ~AUTO_INVAL_DATA & ~HANDLE_KILLPRIV
    assert not handshake.finish()
    os.write(session, reply(ASYNC_READ))
    assert handshake.finish()
    (flags,) = struct.unpack_from("<I", ours.recv(4096), 28)
    assert flags == ASYNC_READ | CACHE_SYMLINKS | KILLPRIV_V2
    # From now on the same number is the device.
    ours.send(b"a request")
    assert os.read(session, 4096) == b"a request"
    assert not os.get_inheritable(session)
    os.close(session)


def test_what_a_kernel_does_not_offer_is_not_taken(kernel):
    ours, descriptor = kernel
    ours.send(request(ASYNC_READ))
    handshake = Handshake(descriptor)
    os.read(handshake.session_fd, 4096)
    os.write(handshake.session_fd, reply(ASYNC_READ))
    handshake.finish()
    assert struct.unpack_from("<I", ours.recv(4096), 28)[0] == ASYNC_READ
    os.close(handshake.session_fd)


@pytest.mark.parametrize(
    ("release", "has"),
    [
        ("6.18.44-fc", True),
        ("6.16.0", True),
        ("6.15.9", False),
        ("5.10.0-28-amd64", False),
        ("7.0-rc1", True),
        ("odd", False),
    ],
)
def test_epochs_go_by_the_kernels_version(release, has, monkeypatch):
    names = os.uname_result(("Linux", "host", release, "#1", "x86_64"))
    monkeypatch.setattr("pyi_fs.fuse.device.os.uname", lambda: names)
    assert device.has_epoch() is has


def test_epoch_notification_is_a_header_alone(kernel):
    ours, descriptor = kernel
    assert device.notify_epoch(descriptor)
    assert ours.recv(64) == struct.pack("<IiQ", 16, 8, 0)
    os.close(descriptor)


def test_a_device_that_knows_no_epochs_is_no_error():
    # /dev/full takes no write; only EINVAL means "unknown".
    with open("/proc/self/mounts", "rb") as unwritable, pytest.raises(OSError, match="Bad file"):
        device.notify_epoch(unwritable.fileno())


def test_a_mountpoint_must_be_a_directory(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(NotADirectoryError):
        device.mount(tmp_path / "f", DeviceOptions("x"))
    with pytest.raises(FileNotFoundError):
        device.mount(tmp_path / "nothing", DeviceOptions("x"))


def test_limits_of_a_mount_that_is_gone_are_left_alone():
    device.raise_limits("999:999", 1024)


def test_a_mountpoint_with_a_carriage_return_is_one_line(tmp_path, monkeypatch):
    lines = tmp_path / "mountinfo"
    lines.write_bytes(b"60 22 0:50 / /a\rb rw - x x rw\n61 22 0:51 / /c rw - x x rw\n")
    monkeypatch.setattr(device, "_MOUNTINFO", lines)
    assert Mounted(-1, Path("/a\rb"), "0:50").is_mounted()
    assert Mounted(-1, Path("/c"), "0:51").is_mounted()
