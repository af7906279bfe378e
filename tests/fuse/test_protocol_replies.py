"""Bodies of answers: written by the codec, read by a second description of the structures."""

import ctypes
import os
import stat

import pytest

from pyi_fs.fuse import protocol_replies as replies
from pyi_fs.fuse.protocol_replies import Timeouts
from pyi_fs.ids import InodeNumber
from pyi_fs.model.inode import Inode, with_fields
from tests.support import fuse_structs as structs

SECOND = 1_000_000_000
INODE = Inode(
    0o100640,
    3,
    1000,
    100,
    12345,
    -SECOND // 2,
    5 * SECOND + 1,
    6 * SECOND + 999_999_999,
    4 * SECOND + 2,
    InodeNumber(1),
    b"f",
    rdev=0x12345678,
)
WORDS = replies.attribute_words(77, INODE, 12345, 25, 131072)


def check_attributes(found):
    """Checks that a structure says what the record does."""
    assert (found.ino, found.size, found.blocks) == (77, 12345, 25)
    assert (found.atime, found.atimensec) == (-1, SECOND // 2)
    assert (found.mtime, found.mtimensec) == (5, 1)
    assert (found.ctime, found.ctimensec) == (6, 999_999_999)
    assert (found.mode, found.nlink, found.uid, found.gid) == (0o100640, 3, 1000, 100)
    assert (found.rdev, found.blksize, found.flags) == (0x12345678, 131072, 0)


def test_an_entry():
    body = replies.entry(1 << 41 | 77, Timeouts(10, 20), WORDS)
    assert len(body) == ctypes.sizeof(structs.EntryOut)
    found = structs.EntryOut.from_buffer_copy(body)
    assert (found.nodeid, found.generation) == (1 << 41 | 77, 0)
    assert (found.entry_valid, found.attr_valid) == (10, 20)
    assert (found.entry_valid_nsec, found.attr_valid_nsec) == (0, 0)
    check_attributes(found.attr)


def test_no_entry_is_node_zero_and_may_be_kept():
    found = structs.EntryOut.from_buffer_copy(replies.no_entry(30))
    assert (found.nodeid, found.entry_valid) == (0, 30)


def test_attributes():
    body = replies.attributes(20, WORDS)
    assert len(body) == ctypes.sizeof(structs.AttrOut)
    found = structs.AttrOut.from_buffer_copy(body)
    assert found.attr_valid == 20
    check_attributes(found.attr)


@pytest.mark.parametrize(("major", "minor"), [(1, 3), (259, 0), (4095, 0xFFFFF), (8, 300)])
def test_statx_has_the_birth_time_and_the_same_attributes(major, minor):
    device = os.makedev(major, minor)
    words = (*WORDS[:13], device, *WORDS[14:])
    body = replies.statx(20, words, -1)
    assert len(body) == ctypes.sizeof(structs.StatxOut)
    found = structs.StatxOut.from_buffer_copy(body)
    assert found.attr_valid == 20
    status = found.stat
    assert status.mask == 0xFFF
    assert (status.ino, status.size, status.blocks, status.blksize) == (77, 12345, 25, 131072)
    assert (status.mode, status.nlink, status.uid, status.gid) == (0o100640, 3, 1000, 100)
    assert (status.atime.tv_sec, status.atime.tv_nsec) == (-1, SECOND // 2)
    assert (status.btime.tv_sec, status.btime.tv_nsec) == (-1, 999_999_999)
    assert (status.ctime.tv_sec, status.ctime.tv_nsec) == (6, 999_999_999)
    assert (status.mtime.tv_sec, status.mtime.tv_nsec) == (5, 1)
    assert (status.rdev_major, status.rdev_minor) == (major, minor)


def test_small_answers():
    opened = structs.OpenOut.from_buffer_copy(replies.opened(5, 3))
    assert (opened.fh, opened.open_flags, opened.backing_id) == (5, 3, 0)
    passed = structs.OpenOut.from_buffer_copy(replies.opened(5, 128, 9))
    assert (passed.fh, passed.open_flags, passed.backing_id) == (5, 128, 9)
    assert replies.written(7) == replies.size_needed(7) == b"\7" + bytes(7)
    assert replies.copied(1 << 40) == replies.offset(1 << 40) == (1 << 40).to_bytes(8, "little")


def test_statfs():
    body = replies.statfs(
        blocks=1, free=2, available=3, files=4, files_free=5, block_bytes=4096, name_bytes_max=255
    )
    assert len(body) == ctypes.sizeof(structs.KstatFs)
    found = structs.KstatFs.from_buffer_copy(body)
    assert (found.blocks, found.bfree, found.bavail) == (1, 2, 3)
    assert (found.files, found.ffree, found.namelen) == (4, 5, 255)
    assert (found.bsize, found.frsize) == (4096, 4096)


@pytest.mark.parametrize("length", [1, 7, 8, 255])
def test_a_listed_name_is_padded_to_eight_bytes(length):
    body = replies.listed(77, 3, stat.S_IFREG >> 12, b"n" * length)
    found = structs.Dirent.from_buffer_copy(body)
    assert (found.ino, found.off, found.namelen, found.type) == (77, 3, length, 8)
    assert body[24 : 24 + length] == b"n" * length
    assert len(body) % 8 == 0
    assert len(body) - 24 - length < 8


@pytest.mark.parametrize("times", [(1, 1, 1), (1, 2, 2), (2, 2, 1), (-1, 10**18, 3 * 10**9)])
@pytest.mark.parametrize("length", [1, 8, 255])
def test_a_listed_entry_is_an_entry_and_a_listed_name(times, length):
    accessed, modified, changed = times
    inode = with_fields(INODE, atime_ns=accessed, mtime_ns=modified, ctime_ns=changed)
    words = replies.attribute_words(9, inode, 10, 11, 12)
    name, timeouts = b"n" * length, replies.Timeouts(13, 14)
    found = replies.listed_entry(15, timeouts, 9, inode, 10, 11, 12, 16, name)
    expected = replies.entry(15, timeouts, words) + replies.listed(9, 16, inode.mode >> 12, name)
    assert found == expected


def test_what_an_ioctl_returned_and_hands_out():
    body = replies.ioctl(-2, b"abc")
    found = structs.IoctlOut.from_buffer_copy(body)
    assert (found.result, found.flags, found.in_iovs, found.out_iovs) == (-2, 0, 0, 0)
    assert body[ctypes.sizeof(structs.IoctlOut) :] == b"abc"
