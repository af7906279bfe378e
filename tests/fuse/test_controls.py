"""The control directory as the kernel sees it."""

import stat

import pytest

from pyi_fs.errors import AccessDeniedError, StaleNodeError
from tests.support.fuse_rig import DIRECTORY, OTHER, OWNER, ROOT


async def test_every_view_of_a_branch_has_its_own_and_snapshots_have_none(rig):
    rig.make(ROOT, "f")
    snapshot = await rig.snapshot()
    await rig.command("branch", "other")
    own, others = rig.node(".pyi"), rig.node(".pyi/branches/other/.pyi")
    assert own != others
    assert rig.look(f".pyi/snapshots/{snapshot}/.pyi") is None
    handle = rig.open(rig.node(".pyi/branches/other/.pyi/branch"))
    assert bytes(await rig.files.read(handle, 0, 99)) == b"other\n"


def test_control_files_belong_to_the_mounting_user_and_have_no_size(rig):
    entry = rig.look(".pyi/snapshot")
    assert stat.S_ISREG(entry.inode.mode)
    assert (entry.inode.uid, entry.inode.size) == (0, 0)
    directory = rig.look(".pyi")
    assert directory.inode.mode == stat.S_IFDIR | 0o700
    assert directory.inode.nlink == 2


def test_dots_of_control_directories(rig):
    branches = rig.node(".pyi/branches")
    assert rig.names.lookup(branches, b".", OWNER).node == branches
    assert rig.names.lookup(branches, b"..", OWNER).node == rig.node(".pyi")
    assert rig.names.lookup(rig.node(".pyi"), b"..", OWNER).node == ROOT


def test_the_roots_own_branch_is_a_link_to_the_root(rig):
    assert rig.names.readlink(rig.node(".pyi/branches/main")) == b"../.."


def test_others_may_not_open_anything(rig):
    with pytest.raises(AccessDeniedError):
        rig.open(rig.node(".pyi/status"), 0, OTHER)
    with pytest.raises(AccessDeniedError):
        rig.make(rig.node(".pyi/branches"), "theirs", DIRECTORY, OTHER)
    with pytest.raises(AccessDeniedError):
        rig.names.remove(rig.node(".pyi/branches"), b"main", OTHER, directory=True)


async def test_files_of_a_dropped_view_say_so(rig):
    await rig.command("branch", "other")
    control = rig.node(".pyi/branches/other/.pyi")
    await rig.command("drop", "other")
    with pytest.raises(StaleNodeError):
        rig.names.lookup(control, b"status", OWNER)
