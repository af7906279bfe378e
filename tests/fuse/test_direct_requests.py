"""Each request through the direct transport, in the kernel's own structures, without a kernel."""

import ctypes
import errno
import os
import stat

import pytest

from pyi_fs.fuse.protocol import Opcode
from tests.support import fuse_structs as structs
from tests.support.direct_rig import DirectRig
from tests.support.fuse_structs import AttrOut, EntryOut, OpenOut, StatxOut

VALID_MODE, VALID_SIZE, VALID_ATIME, VALID_MTIME = 1, 8, 16, 32
ATIME_NOW, MTIME_NOW = 128, 256
ENTRY_BYTES = ctypes.sizeof(EntryOut)


@pytest.fixture
def rig(tmp_path):
    """Gives the transport of a new workspace."""
    rig = DirectRig(tmp_path / "store")
    yield rig
    rig.close()


def created(rig, name, data=b"", parent=1):
    """Returns node and handle of a new file that was written."""
    body = bytes(structs.CreateIn(os.O_RDWR, stat.S_IFREG | 0o644, 0, 0)) + name + b"\0"
    error, answer = rig.ask(Opcode.CREATE, body, node=parent)
    assert error == 0
    node = EntryOut.from_buffer_copy(answer).nodeid
    handle = OpenOut.from_buffer_copy(answer, ENTRY_BYTES).fh
    if data:
        assert write(rig, node, handle, data) == (0, len(data))
    return node, handle


def write(rig, node, handle, data, offset=0, flags=0):
    """Returns errno and count of a WRITE."""
    body = bytes(structs.WriteIn(handle, offset, len(data), flags, 0, 0, 0)) + data
    error, answer = rig.ask(Opcode.WRITE, body, node=node)
    return error, int.from_bytes(answer[:4], "little")


def read(rig, node, handle, offset=0, length=4096, opcode=Opcode.READ):
    """Returns the answer to a READ or to one of its kin."""
    body = bytes(structs.ReadIn(handle, offset, length, 0, 0, 0, 0))
    return rig.ask(opcode, body, node=node)


def status(rig, node):
    """Returns the attributes of a node, and how long they may be kept."""
    error, body = rig.ask(Opcode.GETATTR, bytes(16), node=node)
    assert error == 0
    found = AttrOut.from_buffer_copy(body)
    return found.attr, found.attr_valid


def setattr_(rig, node, valid, **fields):
    """Returns errno and attributes after a SETATTR."""
    change = structs.SetattrIn(valid=valid, **fields)
    error, body = rig.ask(Opcode.SETATTR, bytes(change), node=node)
    return error, AttrOut.from_buffer_copy(body).attr if body else None


def names(rig, node, opcode=Opcode.READDIR, room=4096):
    """Returns what a directory lists, read in pieces: name, node (of a plus), type, ino."""
    handle = rig.opened(node, opcode=Opcode.OPENDIR).fh
    found: list[tuple[bytes, int, int, int]] = []
    offset = 0
    while True:
        error, body = read(rig, node, handle, offset, room, opcode)
        assert error == 0
        if not body:
            rig.ask(Opcode.RELEASEDIR, handle.to_bytes(24, "little"), node=node)
            return found
        while body:
            number = 0
            if opcode == Opcode.READDIRPLUS:
                number, body = EntryOut.from_buffer_copy(body).nodeid, body[ENTRY_BYTES:]
            entry = structs.Dirent.from_buffer_copy(body)
            found.append((body[24 : 24 + entry.namelen], number, entry.type, entry.ino))
            offset, body = entry.off, body[24 + entry.namelen + -entry.namelen % 8 :]


def test_a_name_that_is_not_there_may_be_remembered(rig):
    entry = rig.lookup("nothing")
    assert entry.nodeid == 0
    assert entry.entry_valid > 86400


def test_a_file_is_made_written_read_and_closed(rig):
    node, handle = created(rig, b"f", b"hello world")
    assert read(rig, node, handle, 6, 100) == (0, b"world")
    assert status(rig, node)[0].size == 11
    assert rig.lookup("f").attr.ino == rig.lookup("f").nodeid == node
    assert rig.ask(Opcode.RELEASE, handle.to_bytes(24, "little"), node=node) == (0, b"")
    assert read(rig, node, handle)[0] == errno.EINVAL


def test_files_keep_their_pages_and_a_directory_its_listing(rig):
    node, _ = created(rig, b"f")
    assert rig.opened(node).open_flags == 2
    assert rig.opened(1, opcode=Opcode.OPENDIR).open_flags == 2 | 8
    control = rig.lookup(".pyi").nodeid
    assert rig.opened(control, opcode=Opcode.OPENDIR).open_flags == 0


def test_every_kind_of_file_is_made_with_its_type(rig):
    mknod = bytes(structs.MknodIn(stat.S_IFIFO | 0o600, 0, 0, 0)) + b"p\0"
    assert rig.ask(Opcode.MKNOD, mknod)[0] == 0
    assert rig.ask(Opcode.MKDIR, bytes(structs.MkdirIn(0o750, 0)) + b"d\0")[0] == 0
    assert rig.ask(Opcode.SYMLINK, b"l\0target\0")[0] == 0
    assert rig.lookup("p").attr.mode == stat.S_IFIFO | 0o600
    assert rig.lookup("d").attr.mode == stat.S_IFDIR | 0o750
    link = rig.lookup("l")
    assert rig.ask(Opcode.READLINK, node=link.nodeid) == (0, b"target")
    assert rig.ask(Opcode.MKDIR, bytes(structs.MkdirIn(0o750, 0)) + b"d\0")[0] == errno.EEXIST


def test_names_move_and_go(rig):
    node, _ = created(rig, b"a")
    assert rig.ask(Opcode.RENAME, (1).to_bytes(8, "little") + b"a\0b\0") == (0, b"")
    created(rig, b"c")
    exchange = bytes(structs.Rename2In(1, 2, 0)) + b"b\0c\0"
    assert rig.ask(Opcode.RENAME2, exchange) == (0, b"")
    assert rig.lookup("c").nodeid == node
    keep = bytes(structs.Rename2In(1, 1, 0)) + b"b\0c\0"
    assert rig.ask(Opcode.RENAME2, keep)[0] == errno.EEXIST
    assert rig.ask(Opcode.LINK, node.to_bytes(8, "little") + b"e\0")[0] == 0
    assert rig.lookup("e").attr.nlink == 2
    assert rig.ask(Opcode.UNLINK, b"e\0") == (0, b"")
    assert rig.ask(Opcode.UNLINK, b"e\0")[0] == errno.ENOENT
    assert rig.ask(Opcode.RMDIR, b"c\0")[0] == errno.ENOTDIR


def test_what_belongs_to_the_caller(rig):
    body = bytes(structs.CreateIn(os.O_RDWR, 0o644, 0, 0)) + b"f\0"
    _, answer = rig.ask(Opcode.CREATE, body, uid=1001, gid=1002)
    found = EntryOut.from_buffer_copy(answer).attr
    assert (found.uid, found.gid) == (1001, 1002)


def test_attributes_change_only_where_it_says_so(rig):
    node, _ = created(rig, b"f", b"12345")
    before = status(rig, node)[0]
    error, after = setattr_(rig, node, VALID_MODE | VALID_SIZE, mode=0o600, size=3)
    assert error == 0
    assert (after.mode, after.size, after.uid) == (stat.S_IFREG | 0o600, 3, before.uid)
    _, after = setattr_(rig, node, VALID_ATIME | VALID_MTIME, atime=-5, atimensec=7, mtime=9)
    assert (after.atime, after.atimensec, after.mtime, after.mtimensec) == (-5, 7, 9, 0)
    valid = VALID_ATIME | ATIME_NOW | VALID_MTIME | MTIME_NOW
    _, after = setattr_(rig, node, valid)
    assert (after.atime, after.atimensec) == (after.mtime, after.mtimensec) != (-5, 7)


def test_a_ctime_that_no_inode_can_hold_is_the_nearest(rig):
    """With the writeback cache the kernel says the ctime; the fuzzer's did not fit a record."""
    node, _ = created(rig, b"f")
    error, after = setattr_(rig, node, 1 << 10, ctime=1 << 62)
    assert error == 0
    assert 1 << 33 < after.ctime < 1 << 34


def test_set_id_bits_go_when_the_kernel_says_so_whoever_opened(rig):
    node, handle = created(rig, b"f", b"1")
    setattr_(rig, node, VALID_MODE, mode=0o6777)
    write(rig, node, handle, b"2")
    assert stat.S_IMODE(status(rig, node)[0].mode) == 0o6777
    write(rig, node, handle, b"3", flags=4)
    assert stat.S_IMODE(status(rig, node)[0].mode) == 0o777


def test_a_listing_has_types_and_numbers_and_counts_only_what_it_looked_up(rig):
    rig.ask(Opcode.MKDIR, bytes(structs.MkdirIn(0o750, 0)) + b"d\0")
    long = b"f" * 255
    node, _ = created(rig, long)
    plain = {name: rest for name, *rest in names(rig, 1)}
    kinds = {name: kind for name, (_, kind, _) in plain.items()}
    assert kinds == {b".": 4, b"..": 4, b"d": 4, long: 8}
    assert plain[long] == [0, 8, node]
    rig.put(structs.request(Opcode.FORGET, (1).to_bytes(8, "little"), node=node))
    assert not rig.state.nodes.is_known(node)
    names(rig, 1)
    assert not rig.state.nodes.is_known(node)
    plus = {name: number for name, number, *_ in names(rig, 1, Opcode.READDIRPLUS, 512)}
    assert (plus[b"."], plus[b".."], plus[long]) == (0, 0, node)
    assert rig.state.nodes.is_known(node)


def test_a_listing_without_room_for_a_name_is_refused(rig):
    handle = rig.opened(1, opcode=Opcode.OPENDIR).fh
    assert read(rig, 1, handle, 0, 16, Opcode.READDIR)[0] == errno.EINVAL


def test_extended_attributes_come_with_their_sizes(rig):
    node, _ = created(rig, b"f")
    setxattr = bytes(structs.SetxattrIn(3, 0)) + b"user.a\0abc"
    assert rig.ask(Opcode.SETXATTR, setxattr, node=node) == (0, b"")

    def get(room, name=b"user.a\0", opcode=Opcode.GETXATTR):
        return rig.ask(opcode, bytes(structs.GetxattrIn(room, 0)) + name, node=node)

    assert get(0) == (0, b"\3" + bytes(7))
    assert get(2) == (errno.ERANGE, b"")
    assert get(3) == (0, b"abc")
    assert get(100, b"user.b\0") == (errno.ENODATA, b"")
    assert get(0, b"", Opcode.LISTXATTR) == (0, b"\7" + bytes(7))
    assert get(100, b"", Opcode.LISTXATTR) == (0, b"user.a\0")
    assert rig.ask(Opcode.REMOVEXATTR, b"user.a\0", node=node) == (0, b"")
    assert rig.ask(Opcode.REMOVEXATTR, b"user.a\0", node=node)[0] == errno.ENODATA


@pytest.mark.parametrize(
    ("flags", "is_there", "number"),
    [
        (1, False, 0),
        (1, True, errno.EEXIST),
        (2, False, errno.ENODATA),
        (2, True, 0),
        (3, False, errno.ENODATA),
        (3, True, errno.EEXIST),
    ],
)
def test_an_attribute_is_created_or_replaced_as_asked(rig, flags, is_there, number):
    node, _ = created(rig, b"f")
    if is_there:
        rig.metadata.setxattr(node, b"user.a", b"old")
    body = bytes(structs.SetxattrIn(3, flags)) + b"user.a\0new"
    assert rig.ask(Opcode.SETXATTR, body, node=node)[0] == number


def test_statx_has_the_time_of_birth(rig):
    node, handle = created(rig, b"f")
    born = rig.now
    write(rig, node, handle, b"later")
    error, body = rig.ask(Opcode.STATX, bytes(24), node=node)
    found = StatxOut.from_buffer_copy(body).stat
    assert error == 0
    assert found.btime.tv_nsec == born
    assert found.mtime.tv_nsec > born
    assert (found.ino, found.size) == (node, 5)


def test_ranges_and_files_without_names_reach_their_handlers(rig):
    node, handle = created(rig, b"f", b"x" * 100)
    punch = bytes(structs.FallocateIn(handle, 10, 20, 3, 0))
    assert rig.ask(Opcode.FALLOCATE, punch, node=node) == (0, b"")
    seek = bytes(structs.LseekIn(handle, 0, os.SEEK_HOLE, 0))
    assert rig.ask(Opcode.LSEEK, seek, node=node) == (0, (10).to_bytes(8, "little"))
    body = bytes(structs.CreateIn(os.O_RDWR, stat.S_IFREG | 0o600, 0, 0)) + b"/\0"
    error, answer = rig.ask(Opcode.TMPFILE, body)
    unnamed = EntryOut.from_buffer_copy(answer)
    assert (error, unnamed.attr.nlink) == (0, 0)
    target = OpenOut.from_buffer_copy(answer, ENTRY_BYTES).fh
    for opcode, width in ((Opcode.COPY_FILE_RANGE, 4), (Opcode.COPY_FILE_RANGE_64, 8)):
        copy = bytes(structs.CopyFileRangeIn(handle, 5, unnamed.nodeid, target, 0, 1 << 33, 0))
        assert rig.ask(opcode, copy, node=node) == (
            0,
            (95).to_bytes(width, "little").ljust(8, b"\0"),
        )
    assert rig.ask(Opcode.LINK, unnamed.nodeid.to_bytes(8, "little") + b"named\0")[0] == 0
    assert rig.lookup("named").attr.nlink == 1
    data = read(rig, unnamed.nodeid, target)[1]
    assert data == b"x" * 5 + bytes(20) + b"x" * 70


def test_holes_are_not_looked_for_behind_the_writeback_cache(tmp_path):
    rig = DirectRig(tmp_path / "store", writeback=True)
    assert rig.ask(Opcode.LSEEK, bytes(24)) == (errno.ENOSYS, b"")
    rig.close()


def test_statfs_has_the_room_of_the_disk(rig):
    error, body = rig.ask(Opcode.STATFS)
    found = structs.KstatFs.from_buffer_copy(body)
    assert (error, found.namelen, found.bsize) == (0, 255, 4096)
    assert found.blocks > found.bfree > 0


async def test_a_restored_file_that_nobody_had_open_has_its_own_number(rig):
    node, handle = created(rig, b"f", b"before")
    rig.ask(Opcode.RELEASE, handle.to_bytes(24, "little"), node=node)
    snapshot = await rig.snapshot()
    handle = rig.opened(node, os.O_WRONLY).fh
    write(rig, node, handle, b"after!")
    rig.ask(Opcode.RELEASE, handle.to_bytes(24, "little"), node=node)
    await rig.command("restore", snapshot)
    restored = rig.lookup("f")
    assert restored.attr.ino == node
    assert restored.nodeid != node
    assert (b"f", 0, 8, node) in names(rig, 1)


async def test_no_number_is_shown_by_an_orphan_and_the_file_in_its_place(rig):
    """Also not after a second restore, when only the first orphan is open."""
    node, handle = created(rig, b"f", b"before")
    snapshot = await rig.snapshot()
    write(rig, node, handle, b"after!")
    await rig.command("restore", snapshot)
    assert read(rig, node, handle) == (0, b"after!")
    orphan, _ = status(rig, node)
    assert (orphan.ino, orphan.nlink) == (node, 0)
    second = rig.lookup("f")
    assert second.attr.ino == second.nodeid != node
    again = rig.opened(second.nodeid, os.O_WRONLY).fh
    write(rig, second.nodeid, again, b"third!")
    rig.ask(Opcode.RELEASE, again.to_bytes(24, "little"), node=second.nodeid)
    await rig.command("restore", snapshot)
    assert rig.lookup("f").attr.ino not in (node, second.nodeid)
    rig.ask(Opcode.RELEASE, handle.to_bytes(24, "little"), node=node)


async def test_a_publish_drops_the_listing_of_each_directory_it_changed(rig):
    rig.ask(Opcode.MKDIR, bytes(structs.MkdirIn(0o750, 0)) + b"d\0")
    rig.ask(Opcode.MKDIR, bytes(structs.MkdirIn(0o750, 0)) + b"same\0")
    directory, same = rig.lookup("d").nodeid, rig.lookup("same").nodeid
    snapshot = await rig.snapshot()
    created(rig, b"f", parent=directory)
    rig.kernel.listings.clear()
    await rig.command("restore", snapshot)
    assert directory in rig.kernel.listings
    assert same not in rig.kernel.listings


async def test_commands_below_the_control_directory_wait(rig):
    snapshots = rig.lookup("snapshots", rig.lookup(".pyi").nodeid).nodeid
    async with rig.running():
        body = bytes(structs.MkdirIn(0o755, 0)) + b"kept\0"
        rig.kernel_side.send(structs.request(Opcode.MKDIR, body, node=snapshots, unique=100))
        assert (await rig.answered())[:2] == (100, 0)
        rig.kernel_side.send(structs.request(Opcode.RMDIR, b"kept\0", node=snapshots, unique=102))
        assert (await rig.answered())[:2] == (102, 0)
        handle = rig.opened(rig.lookup("branch", rig.lookup(".pyi").nodeid).nodeid, 1).fh
        body = bytes(structs.WriteIn(handle, 0, 5, 0, 0, 0, 0)) + b"other"
        rig.kernel_side.send(structs.request(Opcode.WRITE, body, node=1 << 39, unique=104))
        assert (await rig.answered())[:2] == (104, 0)
    assert "other" in rig.workspace.refresh().branch_names()
