"""Names: looked up, made, linked, removed, renamed, as the kernel asks for it."""

import pytest

from pyi_fs.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BusyError,
    CrossViewError,
    NameTooLongError,
    NotFoundError,
    NotPermittedError,
    ReadOnlyError,
)
from pyi_fs.fuse.told import listing_of
from pyi_fs.model.mutation import RENAME_EXCHANGE, RENAME_NOREPLACE
from tests.support.fuse_rig import DIRECTORY, FILE, OTHER, OWNER, ROOT, Rig


def test_what_is_made_belongs_to_its_maker_and_is_found(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    made = rig.names.make(directory, b"f", FILE, OTHER)
    found = rig.look("d/f")
    assert found == made
    assert (found.inode.uid, found.inode.gid) == OTHER
    assert found.lasting
    assert rig.look("d/nothing") is None
    assert rig.look("nothing") is None


def test_a_name_in_a_setgid_directory_gets_its_group(rig):
    rig.names.make(ROOT, b"d", 0o042775, OWNER)
    made = rig.names.make(rig.node("d"), b"f", FILE, OTHER)
    assert made.inode.gid == OWNER.gid


def test_dots_are_looked_up(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    inner = rig.make(directory, "e", DIRECTORY)
    assert rig.names.lookup(inner, b".", OWNER).node == inner
    assert rig.names.lookup(inner, b"..", OWNER).node == directory
    assert rig.names.lookup(directory, b"..", OWNER).node == ROOT
    assert rig.names.lookup(ROOT, b"..", OWNER).node == ROOT


def test_a_name_of_256_bytes_is_too_long(rig):
    assert rig.names.lookup(ROOT, b"n" * 255, OWNER) is None
    with pytest.raises(NameTooLongError):
        rig.names.lookup(ROOT, b"n" * 256, OWNER)
    with pytest.raises(NameTooLongError):
        rig.make(ROOT, "n" * 256)


def test_links_and_symlinks(rig):
    node = rig.make(ROOT, "f")
    linked = rig.names.link(node, ROOT, b"g", OWNER)
    assert linked.node == node
    assert linked.inode.nlink == 2
    link = rig.names.symlink(ROOT, b"l", b"f", OWNER)
    assert rig.names.readlink(link.node) == b"f"
    assert link.inode.size == 1
    with pytest.raises(AlreadyExistsError):
        rig.names.symlink(ROOT, b"l", b"f", OWNER)


def test_rename_with_its_flags(rig):
    one, two = rig.make(ROOT, "one"), rig.make(ROOT, "two")
    rig.names.rename(ROOT, b"one", ROOT, b"two", RENAME_EXCHANGE, OWNER)
    assert (rig.node("one"), rig.node("two")) == (two, one)
    with pytest.raises(AlreadyExistsError):
        rig.names.rename(ROOT, b"one", ROOT, b"two", RENAME_NOREPLACE, OWNER)
    rig.names.rename(ROOT, b"one", ROOT, b"two", 0, OWNER)
    assert rig.look("one") is None
    assert rig.node("two") == two


async def test_nothing_moves_between_views(rig):
    rig.make(ROOT, "f")
    await rig.command("branch", "other")
    other = rig.node(".pyi/branches/other")
    assert other >> 40
    with pytest.raises(CrossViewError):
        rig.names.rename(ROOT, b"f", other, b"g", 0, OWNER)
    with pytest.raises(CrossViewError):
        rig.names.link(rig.node("f"), other, b"g", OWNER)
    rig.names.rename(other, b"f", other, b"g", 0, OWNER)
    assert rig.look("f") is not None


async def test_snapshots_are_read_only(rig):
    rig.make(ROOT, "f")
    old = rig.node(f".pyi/snapshots/{await rig.snapshot()}")
    for refused in (
        lambda: rig.make(old, "g"),
        lambda: rig.names.remove(old, b"f", OWNER, directory=False),
        lambda: rig.names.rename(old, b"f", old, b"g", 0, OWNER),
        lambda: rig.names.symlink(old, b"g", b"f", OWNER),
    ):
        with pytest.raises(ReadOnlyError):
            refused()


def test_a_read_only_mount_refuses_to_make_anything(tmp_path):
    rig = Rig(tmp_path, read_only=True)
    with pytest.raises(ReadOnlyError):
        rig.make(ROOT, "f")
    rig.close()


def test_the_control_directory_is_in_use(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    for refused in (
        lambda: rig.make(ROOT, ".pyi"),
        lambda: rig.make(ROOT, ".pyi", DIRECTORY),
        lambda: rig.names.remove(ROOT, b".pyi", OWNER, directory=True),
        lambda: rig.names.rename(ROOT, b"d", ROOT, b".pyi", 0, OWNER),
        lambda: rig.names.rename(ROOT, b".pyi", ROOT, b"x", 0, OWNER),
        lambda: rig.names.link(directory, ROOT, b".pyi", OWNER),
    ):
        with pytest.raises(BusyError):
            refused()
    assert rig.make(directory, ".pyi")


def test_nothing_is_made_linked_or_renamed_in_the_control_directory(rig):
    control = rig.node(".pyi")
    rig.make(ROOT, "f")
    for refused in (
        lambda: rig.make(control, "x"),
        lambda: rig.names.symlink(control, b"x", b"f", OWNER),
        lambda: rig.names.link(rig.node("f"), control, b"x", OWNER),
        lambda: rig.names.link(rig.node(".pyi/status"), ROOT, b"x", OWNER),
        lambda: rig.names.rename(ROOT, b"f", control, b"x", 0, OWNER),
        lambda: rig.names.rename(control, b"status", ROOT, b"x", 0, OWNER),
        lambda: rig.names.remove(control, b"status", OWNER, directory=False),
    ):
        with pytest.raises(NotPermittedError):
            refused()


def test_control_names_are_not_remembered_and_others_may_not_look(rig):
    with pytest.raises(NotFoundError):
        rig.look(".pyi/nothing")
    assert rig.look(".pyi").lasting
    assert not rig.look(".pyi/status").lasting
    with pytest.raises(AccessDeniedError):
        rig.look(".pyi/status", OTHER)


async def test_directories_of_the_control_directory_are_snapshots_and_branches(rig):
    rig.make(ROOT, "f")
    made = await rig.names.make_directory(rig.node(".pyi/snapshots"), b"kept", DIRECTORY, OWNER)
    assert rig.names.lookup(made.node, b"f", OWNER) is not None
    assert not made.lasting
    await rig.names.remove_directory(rig.node(".pyi/snapshots"), b"kept", OWNER)
    with pytest.raises(NotFoundError):
        rig.look(".pyi/snapshots/kept")


CHANGES = {
    "make": lambda rig, d, e: rig.names.make(d, b"new", FILE, OWNER),
    "link": lambda rig, d, e: rig.names.link(rig.look("d/f").node, d, b"new", OWNER),
    "unlink": lambda rig, d, e: rig.names.remove(d, b"f", OWNER, directory=False),
    "rmdir": lambda rig, d, e: rig.names.remove(d, b"sub", OWNER, directory=True),
    "rename": lambda rig, d, e: rig.names.rename(d, b"f", d, b"new", 0, OWNER),
    "move": lambda rig, d, e: rig.names.rename(d, b"f", e, b"f", 0, OWNER),
    "move here": lambda rig, d, e: rig.names.rename(e, b"g", d, b"g", 0, OWNER),
    "create": lambda rig, d, e: rig.files.create(d, b"new", FILE, 0, OWNER),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("thread", [1, 2])
def test_who_changes_a_directory_spoils_what_others_were_told_of_it(rig, change, thread):
    d, e = rig.make(ROOT, "d", DIRECTORY), rig.make(ROOT, "e", DIRECTORY)
    rig.make(d, "f"), rig.make(d, "sub", DIRECTORY), rig.make(e, "g")
    rig.state.told.thread = 1
    for directory in (d, e):
        rig.state.told.note(directory)
    rig.state.told.thread = thread
    CHANGES[change](rig, d, e)
    touched = [d, e] if change == "move" else [e, d] if change == "move here" else [d]
    assert rig.kernel.changed == (touched if thread == 2 else [])


@pytest.mark.parametrize("is_listed", [False, True])
@pytest.mark.parametrize("thread", [1, 2])
def test_who_renames_something_spoils_what_others_were_told_of_it(rig, thread, is_listed):
    d, e = rig.make(ROOT, "d", DIRECTORY), rig.make(ROOT, "e", DIRECTORY)
    sub, file, other = rig.make(d, "sub", DIRECTORY), rig.make(d, "f"), rig.make(e, "g")
    told = rig.state.told
    told.thread = 1
    for node in (listing_of(d), listing_of(e)) if is_listed else (sub, file, other):
        told.note(node)
    told.thread = thread
    rig.names.rename(d, b"sub", e, b"sub", 0, OWNER)
    rig.names.rename(d, b"f", e, b"g", RENAME_EXCHANGE, OWNER)
    assert rig.kernel.changed == ([sub, file, other] if thread == 2 else [])


@pytest.mark.parametrize("thread", [1, 2])
def test_who_changes_extended_attributes_spoils_what_others_were_told(rig, thread):
    node = rig.make(ROOT, "f")
    told = rig.state.told
    for change in (
        lambda: rig.metadata.setxattr(node, b"user.x", b"1"),
        lambda: rig.metadata.removexattr(node, b"user.x"),
    ):
        told.thread = 1
        told.note(node)
        told.thread = thread
        change()
    assert rig.kernel.changed == ([node, node] if thread == 2 else [])
