"""Bodies of requests: laid out by a second description of the structures, read by the codec."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import MalformedRequestError
from pyi_fs.fuse import protocol_requests as requests
from pyi_fs.fuse.protocol_requests import NOW
from tests.support import fuse_structs as structs

DECODERS = [
    requests.name,
    requests.symlink,
    requests.mknod,
    requests.mkdir,
    requests.rename,
    requests.rename2,
    requests.link,
    requests.create,
    requests.tmpfile,
    requests.open_flags,
    requests.handle,
    requests.read,
    requests.write,
    lambda body: requests.forget(1, body),
    requests.batch_forget,
    requests.setattr_,
    requests.setxattr,
    requests.getxattr,
    requests.attribute_name,
    requests.listxattr,
    requests.fallocate,
    requests.lseek,
    requests.ioctl,
    requests.copy_file_range,
]


def test_requests_with_names():
    assert requests.name(b"caf\xc3\xa9\xff\0") == b"caf\xc3\xa9\xff"
    assert requests.symlink(b"link\0../target/of it\0") == (b"link", b"../target/of it")
    body = bytes(structs.MknodIn(0o20644, 259, 0o22, 0)) + b"p\0"
    assert requests.mknod(body) == (b"p", 0o20644, 259)
    assert requests.mkdir(bytes(structs.MkdirIn(0o755, 0o22)) + b"d\0") == (b"d", 0o755)
    assert requests.rename((9).to_bytes(8, "little") + b"a\0b\0") == (9, b"a", b"b")
    body = bytes(structs.Rename2In(9, 1, 0)) + b"a\0b\0"
    assert requests.rename2(body) == (9, b"a", b"b", 1)
    assert requests.link((7).to_bytes(8, "little") + b"l\0") == (7, b"l")
    body = bytes(structs.CreateIn(0x8241, 0o100644, 0o22, 0)) + b"f\0"
    assert requests.create(body) == (b"f", 0o100644, 0x8241)
    assert requests.tmpfile(body[:-2] + b"/\0") == (0o100644, 0x8241)


@pytest.mark.parametrize(
    ("mode", "rdev"),
    [(0o10644, 1), (0o100644, 1), (0o644, 0), (0o40755, 0), (0o120777, 0), (0o1100644, 0)],
)
def test_what_mknod_cannot_make_is_malformed(mode, rdev):
    """A device number of no device, which the fuzzer found, made a tree that no check passes."""
    with pytest.raises(MalformedRequestError):
        requests.mknod(bytes(structs.MknodIn(mode, rdev, 0, 0)) + b"p\0")


@pytest.mark.parametrize("raw", [b"", b"\0", b"a", b"a/b\0", b"a\0b", b"a\0b\0", b"a\0\0"])
def test_what_is_no_name_is_malformed(raw):
    with pytest.raises(MalformedRequestError):
        requests.name(raw)


@pytest.mark.parametrize("raw", [b"", b"a\0", b"a\0b", b"a\0b\0c\0", b"\0b\0", b"a/\0b\0"])
def test_what_is_not_two_strings_is_malformed(raw):
    for decode in (requests.symlink, lambda raw: requests.rename(bytes(8) + raw)):
        with pytest.raises(MalformedRequestError):
            decode(raw)


def test_requests_about_open_files():
    assert requests.open_flags(bytes(structs.OpenIn(0x8002, 1))) == 0x8002
    assert requests.handle((5).to_bytes(8, "little") + bytes(16)) == 5
    assert requests.read(bytes(structs.ReadIn(5, 1 << 40, 4096, 0, 3, 0x8000, 0))) == (
        *(5, 1 << 40, 4096),
    )
    body = bytes(structs.WriteIn(5, 1 << 40, 3, 4, 3, 0x8001, 0)) + b"abc"
    assert requests.write(body) == (5, 1 << 40, b"abc", 4)
    for wrong in (body[:-1], body + b"d", body[:39]):
        with pytest.raises(MalformedRequestError):
            requests.write(wrong)
    assert requests.fallocate(bytes(structs.FallocateIn(5, 10, 20, 3, 0))) == (5, 10, 20, 3)
    assert requests.lseek(bytes(structs.LseekIn(5, 10, 4, 0))) == (5, 10, 4)
    body = bytes(structs.IoctlIn(5, 16, 0xC4007950, 0x7FFF0000, 3, 1024)) + b"abc"
    assert requests.ioctl(body) == (5, 0xC4007950, b"abc", 1024)
    for wrong in (body[:-1], body + b"d", body[:31]):
        with pytest.raises(MalformedRequestError):
            requests.ioctl(wrong)
    body = bytes(structs.CopyFileRangeIn(1, 2, 3, 4, 5, 6, 0))
    assert requests.copy_file_range(body) == (1, 2, 3, 4, 5, 6, 0)


def test_written_data_is_not_copied():
    body = memoryview(bytearray(bytes(structs.WriteIn(5, 0, 3, 0, 0, 0, 0)) + b"abc"))
    data = requests.write(body)[2]
    body[-1] = ord("d")
    assert bytes(data) == b"abd"


def test_forgets():
    assert requests.forget(3, (2).to_bytes(8, "little")) == [(3, 2)]
    entries = bytes(structs.ForgetOne(3, 2)) + bytes(structs.ForgetOne(4, 1))
    body = bytes(structs.BatchForgetIn(2, 0)) + entries
    assert requests.batch_forget(body) == [(3, 2), (4, 1)]
    with pytest.raises(MalformedRequestError):
        requests.batch_forget(bytes(structs.BatchForgetIn(3, 0)) + entries)
    with pytest.raises(MalformedRequestError):
        requests.batch_forget(bytes(structs.BatchForgetIn(0xFFFFFFFF, 0)) + entries)


def test_setattr_says_only_what_is_valid():
    everything = structs.SetattrIn(
        *(0, 0, 1, 99, 0),
        *(-2, 11, 12),
        *(5, 6, 7),
        *(0o644, 0, 1000, 100, 0),
    )
    assert requests.setattr_(bytes(everything)) == (None,) * 7
    everything.valid = 0b1_0011_1111 | 1 << 10
    changes = requests.setattr_(bytes(everything))
    assert changes == (0o644, 1000, 100, 99, -1_999_999_995, NOW, 12_000_000_007)
    everything.valid = 1 << 4 | 1 << 5 | 1 << 7
    assert requests.setattr_(bytes(everything))[4:6] == (NOW, 11_000_000_006)
    everything.valid = 1 << 7 | 1 << 8
    assert requests.setattr_(bytes(everything)) == (None,) * 7


def test_requests_about_extended_attributes():
    body = bytes(structs.SetxattrIn(3, 1)) + b"user.a\0a\0b"
    assert requests.setxattr(body) == (b"user.a", b"a\0b", 1)
    for wrong in (body[:-1], body + b"c", bytes(structs.SetxattrIn(0, 0)) + b"\0", body[:12]):
        with pytest.raises(MalformedRequestError):
            requests.setxattr(wrong)
    assert requests.getxattr(bytes(structs.GetxattrIn(64, 0)) + b"user.a/b\0") == (b"user.a/b", 64)
    assert requests.listxattr(bytes(structs.GetxattrIn(64, 0))) == 64
    for wrong in (b"", b"\0", b"a", b"a\0b\0"):
        with pytest.raises(MalformedRequestError):
            requests.attribute_name(wrong)


@given(st.binary(max_size=200), st.sampled_from(DECODERS))
def test_any_bytes_are_read_or_malformed(body, decode):
    """Nothing else is raised, and the buffer, a view in real life, is left as it was."""
    view = memoryview(bytearray(body))
    with contextlib.suppress(MalformedRequestError):
        decode(view)
    assert bytes(view) == body
