"""Who may have files passed through, and what the device is asked."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from pyi_fs.fuse import backings, protocol
from pyi_fs.fuse.backings import KernelBackings


def test_the_device_is_given_a_descriptor_and_gives_an_id(tmp_path, monkeypatch):
    (tmp_path / "plain").write_bytes(b"bytes")
    asked = []

    def ioctl(device, request, argument):
        descriptor = int.from_bytes(argument[:4], "little")
        is_open = request == protocol.BACKING_OPEN
        asked.append((device, request, os.pread(descriptor, 5, 0) if is_open else descriptor))
        return 9 if is_open else 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    before = os.listdir("/proc/self/fd")
    kernel = KernelBackings(77)
    assert kernel.open(str(tmp_path / "plain")) == 9
    kernel.close(9)
    assert asked == [(77, protocol.BACKING_OPEN, b"bytes"), (77, protocol.BACKING_CLOSE, 9)]
    assert os.listdir("/proc/self/fd") == before


def test_what_is_no_device_refuses_and_nothing_stays_open(tmp_path):
    (tmp_path / "plain").write_bytes(b"bytes")
    before = os.listdir("/proc/self/fd")
    with (tmp_path / "other").open("wb") as file, pytest.raises(OSError, match="ioctl"):
        KernelBackings(file.fileno()).open(str(tmp_path / "plain"))
    with pytest.raises(FileNotFoundError):
        KernelBackings(0).open(str(tmp_path / "missing"))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("capabilities", "users", "wanted"),
    [
        ("000001ffffffffff", "0 0 4294967295", True),
        ("0000000000200000", "0 0 4294967295", True),
        ("00000000ffdfffff", "0 0 4294967295", False),
        ("000001ffffffffff", "0 100000 65536", False),
        ("0000000000000000", "1000 1000 1", False),
    ],
)
def test_who_may_have_files_passed_through(monkeypatch, capabilities, users, wanted):
    files = {
        "/proc/self/status": f"Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t{capabilities}\n",
        "/proc/self/uid_map": f"         {users}\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda path: files[str(path)])
    assert backings.is_permitted() is wanted


def test_without_proc_nobody_may(monkeypatch):
    def read_text(path):
        raise FileNotFoundError(errno.ENOENT, "no proc", str(path))

    monkeypatch.setattr(Path, "read_text", read_text)
    assert not backings.is_permitted()
