"""Attributes, extended attributes, statfs."""

import pytest

from pyi_fs import limits
from pyi_fs.errors import (
    AttributeNotFoundError,
    InvalidArgumentError,
    NotPermittedError,
    ReadOnlyError,
    UnsupportedError,
)
from pyi_fs.fuse.metadata import Wanted
from tests.support.fuse_rig import OTHER, OWNER, ROOT


def test_only_what_is_wanted_changes(rig):
    node = rig.make(ROOT, "f")
    before = rig.metadata.getattr(node).inode
    after = rig.metadata.setattr(node, Wanted(mode=0o100600, mtime_ns=5), OWNER).inode
    assert after.mode == 0o100600
    assert after.mtime_ns == 5
    assert after.atime_ns == before.atime_ns
    assert after.ctime_ns > before.ctime_ns
    assert rig.metadata.getattr(node).inode == after


def test_the_kernel_says_when_it_changed_a_file_in_its_writeback_cache(rig):
    """Else stat would change when the kernel's inode goes: make and git would see a change."""
    node = rig.make(ROOT, "f")
    after = rig.metadata.setattr(node, Wanted(mtime_ns=5, ctime_ns=7), OWNER).inode
    assert (after.mtime_ns, after.ctime_ns) == (5, 7)


async def test_the_kernel_says_of_a_truncation_when_it_was_if_times_change(rig):
    """Not of a path that has the size: else stat would change when the kernel's inode goes."""

    async def flush():
        pass

    await rig.write("f", b"12345")
    node = rig.node("f")
    before = rig.metadata.getattr(node).inode
    rig.state.flush_kernel = flush
    after = rig.metadata.setattr(node, Wanted(size=5), OWNER).inode
    assert (after.mtime_ns, after.ctime_ns) == (before.mtime_ns, before.ctime_ns)
    after = rig.metadata.setattr(node, Wanted(size=2, mtime_ns=8, ctime_ns=9), OWNER).inode
    assert (after.size, after.mtime_ns, after.ctime_ns) == (2, 8, 9)


async def test_truncation_and_its_times(rig):
    await rig.write("f", b"12345")
    node = rig.node("f")
    before = rig.metadata.getattr(node).inode
    after = rig.metadata.setattr(node, Wanted(size=2), OWNER).inode
    assert after.size == 2
    assert after.mtime_ns > before.mtime_ns
    assert await rig.read("f") == b"12"
    assert rig.metadata.setattr(node, Wanted(size=4, mtime_ns=9), OWNER).inode.mtime_ns == 9
    assert await rig.read("f") == b"12\0\0"


@pytest.mark.parametrize(
    ("wanted", "caller", "mode"),
    [
        (Wanted(uid=5), OWNER, 0o100777),
        (Wanted(gid=5), OTHER, 0o100777),
        (Wanted(), OWNER, 0o100777),
        (Wanted(size=0), OTHER, 0o100777),
        (Wanted(size=0), OWNER, 0o106777),
        (Wanted(mtime_ns=1), OTHER, 0o106777),
    ],
)
def test_set_id_bits_go_with_owner_changes_and_other_users_truncations(rig, wanted, caller, mode):
    node = rig.make(ROOT, "f", 0o106777)
    rig.metadata.setxattr(node, b"security.capability", b"all")
    assert rig.metadata.setattr(node, wanted, caller).inode.mode == mode
    keeps = wanted.mtime_ns is not None
    assert (rig.metadata.getxattr(node, b"security.capability") == b"all") == keeps


def test_extended_attributes(rig):
    node = rig.make(ROOT, "f")
    assert rig.metadata.getxattr(node, b"security.capability") is None
    assert rig.metadata.listxattr(node, OWNER) == []
    rig.metadata.setxattr(node, b"user.a", b"1")
    rig.metadata.setxattr(node, b"trusted.b", b"2")
    assert rig.metadata.getxattr(node, b"user.a") == b"1"
    assert rig.metadata.getxattr(node, b"user.b") is None
    assert rig.metadata.listxattr(node, OWNER) == [b"trusted.b", b"user.a"]
    assert rig.metadata.listxattr(node, OTHER) == [b"user.a"]
    rig.metadata.removexattr(node, b"user.a")
    with pytest.raises(AttributeNotFoundError):
        rig.metadata.removexattr(node, b"user.a")


def test_access_control_lists_are_not_ours(rig):
    node = rig.make(ROOT, "f")
    with pytest.raises(UnsupportedError):
        rig.metadata.getxattr(node, b"system.posix_acl_access")
    with pytest.raises(UnsupportedError):
        rig.metadata.setxattr(node, b"system.posix_acl_access", b"")
    with pytest.raises(UnsupportedError):
        rig.metadata.setxattr(node, b"strange.name", b"")
    with pytest.raises(UnsupportedError):
        rig.metadata.getxattr(node, b"strange.name")


@pytest.mark.parametrize("name", [b"user.", b"trusted.", b"security."])
def test_a_namespace_alone_names_no_attribute(rig, name):
    node = rig.make(ROOT, "f")
    for call in (rig.metadata.getxattr, rig.metadata.removexattr):
        with pytest.raises(InvalidArgumentError):
            call(node, name)
    with pytest.raises(InvalidArgumentError):
        rig.metadata.setxattr(node, name, b"")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_time_no_inode_can_hold_becomes_the_nearest(rig, sign):
    """utimensat(2) with 2**40 seconds was an EIO: the journal could not hold it."""
    node = rig.make(ROOT, "f")
    far = sign * 2**40 * 10**9
    after = rig.metadata.setattr(node, Wanted(atime_ns=far, mtime_ns=far), OWNER).inode
    assert after.atime_ns == after.mtime_ns
    assert after.mtime_ns == (limits.TIME_NS_MAX if sign > 0 else limits.TIME_NS_MIN)


@pytest.mark.parametrize("edge", [limits.TIME_NS_MIN, limits.TIME_NS_MAX])
def test_the_first_and_the_last_second_have_no_fractions(rig, edge):
    """As on ext4, where the kernel cuts them off."""
    node = rig.make(ROOT, "f")
    within = edge + 999_999_999
    assert rig.metadata.setattr(node, Wanted(mtime_ns=within), OWNER).inode.mtime_ns == edge


async def test_nothing_of_a_snapshot_changes(rig):
    rig.make(ROOT, "f")
    node = rig.node(f".pyi/snapshots/{await rig.snapshot()}/f")
    with pytest.raises(ReadOnlyError):
        rig.metadata.setattr(node, Wanted(mode=0o600), OWNER)
    with pytest.raises(ReadOnlyError):
        rig.metadata.setxattr(node, b"user.a", b"")


def test_control_files_are_truncated_and_touched_without_effect(rig):
    node = rig.node(".pyi/restore")
    entry = rig.metadata.setattr(node, Wanted(size=0, mtime_ns=1), OWNER)
    assert entry == rig.metadata.getattr(node)
    assert entry.inode.size == 0
    assert not entry.lasting
    with pytest.raises(NotPermittedError):
        rig.metadata.setattr(node, Wanted(mode=0o777), OWNER)
    assert rig.metadata.getxattr(node, b"user.a") is None
    assert rig.metadata.listxattr(node, OWNER) == []
    with pytest.raises(UnsupportedError):
        rig.metadata.setxattr(node, b"user.a", b"")


def test_statfs_is_that_of_the_store(rig):
    assert rig.metadata.statfs().blocks > 0
