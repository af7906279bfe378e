"""Publishing under the kernel's nose: which nodes stay, turn, or are gone, and what is told."""

import contextlib
import os

import pytest

from pyi_fs.errors import NotFoundError, ReadOnlyError, StaleNodeError
from tests.support.fuse_rig import DIRECTORY, OWNER, ROOT, Rig


async def test_what_is_the_same_keeps_its_node(rig):
    await rig.write("same", b"1")
    await rig.write("changed", b"old")
    rig.make(ROOT, "d", DIRECTORY)
    same, changed, directory = rig.node("same"), rig.node("changed"), rig.node("d")
    snapshot = await rig.snapshot()
    await rig.write("changed", b"new")
    rig.make(directory, "inside")
    rig.make(ROOT, "made")
    await rig.command("restore", snapshot)
    assert rig.node("same") == same
    assert rig.node("d") == directory
    assert rig.node("changed") not in (changed, same)
    assert rig.node("changed") < 1 << 32
    assert await rig.read("changed") == b"old"
    assert rig.look("d/inside") is None
    # The old node answers stat as it was last seen, and nothing else.
    assert rig.metadata.getattr(changed).inode.size == 3
    with pytest.raises(StaleNodeError):
        rig.open(changed)
    assert rig.kernel.epochs == 1
    assert {ROOT, directory} <= set(rig.kernel.changed)
    # Of the file's old node the kernel may keep what it knows, which is the same.
    assert changed not in rig.kernel.changed


async def test_a_file_the_kernel_does_not_know_keeps_its_number(rig):
    await rig.write("f", b"old")
    node = rig.node("f")
    snapshot = await rig.snapshot()
    await rig.write("f", b"new")
    rig.reaper.forget([(node, 100)])
    await rig.command("restore", snapshot)
    assert rig.node("f") == node


async def test_undo_brings_the_nodes_of_the_same_state_back(rig):
    await rig.write("kept", b"1")
    snapshot = await rig.snapshot()
    made = rig.make(ROOT, "made")
    directory = rig.make(ROOT, "d", DIRECTORY)
    await rig.command("restore", snapshot)
    assert rig.look("made") is None
    with pytest.raises(NotFoundError):
        rig.make(directory, "x")
    assert rig.metadata.getattr(directory).inode.nlink == 0
    await rig.command("undo", "\n")
    assert rig.node("made") == made
    assert rig.node("d") == directory
    assert rig.make(directory, "x")


async def test_open_files_live_on_apart_from_the_restored_ones(rig):
    await rig.write("read", b"old")
    await rig.write("written", b"same")
    await rig.write("unlinked", b"held")
    nodes = {name: rig.node(name) for name in ("read", "written", "unlinked")}
    snapshot = await rig.snapshot()
    await rig.write("read", b"NEW")
    reading = rig.open(nodes["read"], os.O_RDONLY)
    writing = rig.open(nodes["written"], os.O_RDWR)
    unlinked = rig.open(nodes["unlinked"], os.O_RDWR)
    rig.names.remove(ROOT, b"unlinked", OWNER, directory=False)
    await rig.command("restore", snapshot)
    await rig.files.write(writing, 4, b" and more")
    await rig.files.write(unlinked, 4, b"!")
    assert bytes(await rig.files.read(reading, 0, 10)) == b"NEW"
    assert bytes(await rig.files.read(writing, 0, 99)) == b"same and more"
    assert bytes(await rig.files.read(unlinked, 0, 99)) == b"held!"
    assert [await rig.read(name) for name in nodes] == [b"old", b"same", b"held"]
    for name, node in nodes.items():
        assert rig.node(name) != node
        assert rig.metadata.getattr(node).inode.nlink == 0
    assert rig.state.publication.orphan_count() == 3
    # Closed and forgotten, the orphans are reaped.
    for name, handle in (("read", reading), ("written", writing), ("unlinked", unlinked)):
        rig.reaper.release(handle)
        rig.reaper.forget([(nodes[name], 100)])
    rig.reaper.reap()
    assert not rig.branch.tree.unlinked
    assert rig.state.publication.orphan_count() == 0


async def test_orphans_live_through_further_publishes(rig):
    await rig.write("f", b"1")
    node, snapshot = rig.node("f"), await rig.snapshot()
    handle = rig.open(node, os.O_RDWR)
    for step in range(3):
        await rig.files.write(handle, 0, b"%d" % (step + 2))
        await rig.command("restore", snapshot)
        assert bytes(await rig.files.read(handle, 0, 9)) == b"%d" % (step + 2)
        assert await rig.read("f") == b"1"
    assert rig.metadata.getattr(node).inode.size == 1


async def test_an_open_file_that_is_only_read_and_the_same_is_left_alone(rig):
    await rig.write("f", b"1")
    node, snapshot = rig.node("f"), await rig.snapshot()
    handle = rig.open(node, os.O_RDONLY)
    rig.make(ROOT, "other")
    await rig.command("restore", snapshot)
    assert rig.node("f") == node
    assert bytes(await rig.files.read(handle, 0, 9)) == b"1"
    assert not rig.branch.tree.unlinked


async def test_a_directory_the_kernel_removed_comes_back_under_a_new_node(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    snapshot = await rig.snapshot()
    rig.names.remove(ROOT, b"d", OWNER, directory=True)
    await rig.command("restore", snapshot)
    assert rig.node("d") != directory
    assert rig.make(rig.node("d"), "x")


async def test_a_directory_the_kernel_removed_stays_dead_through_a_publish_without_it(rig):
    empty = await rig.snapshot()
    directory = rig.make(ROOT, "d", DIRECTORY)
    snapshot = await rig.snapshot()
    # Known still, as while somebody stands in it: it waits to be reaped.
    rig.names.remove(ROOT, b"d", OWNER, directory=True)
    await rig.command("restore", empty)
    assert rig.look("d") is None
    await rig.command("restore", snapshot)
    assert rig.node("d") != directory
    assert rig.make(rig.node("d"), "alive")


async def test_a_listing_in_progress_shows_the_directory_of_now(rig):
    for name in ("a", "b", "c"):
        rig.make(ROOT, name)
    snapshot = await rig.snapshot()
    for name in ("d", "e"):
        rig.make(ROOT, name)
    rig.names.remove(ROOT, b"a", OWNER, directory=False)
    handle = rig.listings.opendir(ROOT, OWNER)
    await rig.command("restore", snapshot)
    listed = {item.name for item in rig.listings.readdir(handle, 2)}
    assert listed == {b"b", b"c"}
    assert {item.name for item in rig.listings.readdir(handle, 0)} == {
        b".",
        b"..",
        b"a",
        b"b",
        b"c",
    }


async def test_restoring_one_path_leaves_the_others(rig):
    await rig.write("f", b"old")
    await rig.write("g", b"old")
    snapshot = await rig.snapshot()
    await rig.write("f", b"new")
    await rig.write("g", b"new")
    f, g = rig.node("f"), rig.node("g")
    await rig.command("restore", f"{snapshot}\tf")
    assert await rig.read("f") == b"old"
    assert await rig.read("g") == b"new"
    assert rig.node("g") == g
    assert rig.node("f") != f


async def test_switching_head_moves_open_files_to_their_branchs_view(rig):
    await rig.write("f", b"main")
    await rig.write("same", b"same")
    f, same = rig.node("f"), rig.node("same")
    await rig.command("branch", "other")
    await rig.write(".pyi/branches/other/f", b"other")
    below = rig.node(".pyi/branches/other/f")
    held, kept = rig.open(f, os.O_RDWR), rig.open(same, os.O_RDONLY)
    held_below = rig.open(below, os.O_RDWR)
    await rig.command("head", "other")
    assert await rig.read("f") == b"other"
    assert rig.node("same") == same
    await rig.files.write(held, 0, b"MAIN")
    await rig.files.write(held_below, 0, b"OTHER")
    assert await rig.read("f") == b"OTHER"
    assert await rig.read(".pyi/branches/main/f") == b"MAIN"
    # One file, one node: the kernel's pages are those of the file, whichever way it is reached.
    assert rig.node("f") == below
    assert rig.node(".pyi/branches/main/f") == f
    assert bytes(await rig.files.read(kept, 0, 9)) == b"same"
    await rig.command("head", "main")
    assert await rig.read("f") == b"MAIN"
    assert rig.node("f") == f
    assert await rig.read(".pyi/branches/other/f") == b"OTHER"


async def test_files_of_a_dropped_branch_can_be_read_but_not_written(rig):
    await rig.write("f", b"1")
    await rig.command("branch", "other")
    node = rig.node(".pyi/branches/other/f")
    handle = rig.open(node, os.O_RDWR)
    await rig.files.write(handle, 1, b"2")
    await rig.command("drop", "other")
    assert bytes(await rig.files.read(handle, 0, 9)) == b"12"
    with pytest.raises(ReadOnlyError):
        await rig.files.write(handle, 0, b"3")
    assert rig.metadata.getattr(node).inode.size == 2
    with pytest.raises(StaleNodeError):
        rig.metadata.getattr(node - 1)


async def test_a_branch_that_somebody_else_held_is_shown_anew_when_it_can_be(rig, tmp_path):
    await rig.write("f", b"1")
    rig.make(ROOT, "d", DIRECTORY)
    await rig.command("branch", "other")
    with contextlib.closing(Rig(tmp_path / "store", branch="other")) as elsewhere:
        directory = rig.node(".pyi/branches/other/d")
        handle = rig.open(rig.node(".pyi/branches/other/f"), os.O_RDONLY)
        with pytest.raises(ReadOnlyError):
            rig.make(directory, "x")
        await elsewhere.write("f", b"2")
        elsewhere.make(elsewhere.node("d"), "made")
        assert await rig.read(".pyi/branches/other/f") == b"1"
    assert await rig.read(".pyi/branches/other/f") == b"2"
    assert rig.node(".pyi/branches/other/d") == directory
    assert rig.look(".pyi/branches/other/d/made") is not None
    assert rig.make(directory, "x")
    assert bytes(await rig.files.read(handle, 0, 9)) == b"1"


async def test_old_kernels_are_told_each_name(tmp_path):
    rig = Rig(tmp_path, has_epoch=False)
    await rig.write("f", b"old")
    rig.make(ROOT, "d", DIRECTORY)
    snapshot = await rig.snapshot()
    await rig.write("f", b"new")
    rig.make(rig.node("d"), "made")
    rig.make(ROOT, "also")
    await rig.command("restore", snapshot)
    told = {(parent, name) for parent, name in rig.kernel.entries}
    assert {(ROOT, b"f"), (rig.node("d"), b"made"), (ROOT, b"also")} <= told
    rig.close()


async def test_a_directory_that_stays_keeps_its_name_whatever_changed_in_it(tmp_path):
    """A name that is forgotten loses what is mounted below it."""
    rig = Rig(tmp_path)
    rig.state.invalidation.spares_names = lambda: True
    rig.make(ROOT, "d", DIRECTORY)
    rig.make(rig.node("d"), "inside", DIRECTORY)
    rig.make(ROOT, "replaced", DIRECTORY)
    snapshot = await rig.snapshot()
    rig.make(rig.node("d"), "made")
    rig.handlers.names.remove(ROOT, b"replaced", OWNER, directory=True)
    rig.make(ROOT, "replaced", DIRECTORY)
    await rig.command("restore", snapshot)
    assert rig.kernel.epochs == 0
    assert set(rig.kernel.entries) == {(rig.node("d"), b"made"), (ROOT, b"replaced")}
    rig.kernel.entries.clear()
    await rig.command("branch", "other")
    rig.make(rig.node(".pyi/branches/other"), "g")
    await rig.command("head", "other")
    assert (ROOT, b"g") in rig.kernel.entries
    assert not {(ROOT, b"d"), (rig.node("d"), b"inside")} & set(rig.kernel.entries)
    assert rig.kernel.epochs == 0
    rig.close()


async def test_old_kernels_are_told_all_names_when_head_is_switched(tmp_path):
    rig = Rig(tmp_path, has_epoch=False)
    rig.make(ROOT, "f")
    await rig.command("branch", "other")
    rig.make(rig.node(".pyi/branches/other"), "g")
    await rig.command("head", "other")
    assert {(ROOT, b"f"), (ROOT, b"g")} <= set(rig.kernel.entries)
    rig.close()
