"""One branch: commits, writes, garbage, publishes, syncs, layers left behind."""

import errno
from contextlib import suppress

import pytest

from pyi_fs import limits
from pyi_fs.engine import left_layers
from pyi_fs.engine.branch import Branch
from pyi_fs.errors import FileTooLargeError, IsADirectoryInTreeError, NotFoundError, ReadOnlyError
from pyi_fs.ids import InodeNumber
from pyi_fs.model.mutation import Remove, Rename, Share
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree
from tests.support.storage import FailingStorage
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace


def test_what_was_written_is_read(workspace: Rig) -> None:
    workspace.make("f", b"hello")
    workspace.write("f", b"J", 0)
    workspace.write("f", b"!", 7)
    assert workspace.read("f") == b"Jello\0\0!"


def test_an_unwritten_branch_has_no_layer(workspace: Rig) -> None:
    assert workspace.main.writer is None
    begin = workspace.main.position
    workspace.make("f")
    assert workspace.main.position.layer != begin.layer
    assert workspace.workspace.refs.branch("main").layer == workspace.main.position.layer


def test_an_impossible_request_changes_nothing(workspace: Rig) -> None:
    workspace.make("f")
    before, position = workspace.main.tree, workspace.main.position
    with pytest.raises(NotFoundError):
        workspace.commit(Remove(InodeNumber(1), b"none", False, 1))
    with pytest.raises(NotFoundError):
        workspace.main.write(InodeNumber(99), 0, b"x", 1)
    with pytest.raises(IsADirectoryInTreeError):
        workspace.main.write(InodeNumber(1), 0, b"x", 1)
    with pytest.raises(FileTooLargeError):
        workspace.write("f", b"xx", limits.FILE_BYTES_MAX - 1)
    assert workspace.main.tree is before
    assert workspace.main.position == position


def test_a_change_that_changes_nothing_is_not_written(workspace: Rig) -> None:
    workspace.make("f")
    position = workspace.main.position
    workspace.commit(Rename(InodeNumber(1), b"f", InodeNumber(1), b"f", 0, 5))
    assert workspace.main.write(workspace.number("f"), 0, b"", 5) == 0
    assert workspace.main.position == position


def test_a_read_only_branch_refuses_everything(workspace: Rig) -> None:
    workspace.make("f")
    main = workspace.main
    main.read_only = True
    with pytest.raises(ReadOnlyError):
        workspace.remove("f")
    with pytest.raises(ReadOnlyError):
        workspace.write("f", b"x")
    main.read_only = False


def test_inode_numbers_are_never_given_twice(workspace: Rig) -> None:
    workspace.workspace.make_branch("side", workspace.main)
    given = [workspace.branch(name).next_inode() for name in ["main", "side"] * 400]
    workspace.restart()
    given += [workspace.branch(name).next_inode() for name in ["main", "side"] * 10]
    assert len(set(given)) == len(given)


@pytest.mark.parametrize("call", range(12))
def test_a_full_disk_leaves_the_branch_as_it_was(shelf: IndexShelf, boot: Boot, call: int) -> None:
    """Whatever call fails, memory and disk agree, and there is room again afterwards."""
    failing = FailingStorage(None, error=errno.ENOSPC, host_root=shelf.directory())
    rig = new_workspace(failing)
    rig.main.next_inode()
    failing.fail_after(call)
    errors = []
    for name in "abc":
        while True:
            try:
                if name.encode() not in dict(rig.main.tree.entries(InodeNumber(1))):
                    rig.make(name)
                rig.write(name, b"content of " + name.encode())
                break
            except OSError as error:
                errors.append(error.errno)
    assert errors in ([], [errno.ENOSPC])
    shown = rig.picture()
    assert sorted(shown) == [b"", b"a", b"b", b"c"]
    rig.restart()
    assert rig.picture() == shown
    assert rig.findings() == []
    rig.close()


@pytest.mark.parametrize("call", range(40))
def test_a_full_disk_in_the_midst_of_a_restore_loses_nothing(
    shelf: IndexShelf, boot: Boot, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_layers, "OPEN_MAX", 1)

    storage = FailingStorage(None, error=errno.ENOSPC, host_root=shelf.directory())
    rig = new_workspace(storage)
    rig.make("f", b"one")
    rig.snapshot("first")
    rig.workspace.restore(rig.main, "first")
    rig.write("f", b"two")
    rig.workspace.restore(rig.main, "first")
    rig.write("f", b"six")
    storage.fail_after(call)
    for act in (
        lambda: rig.workspace.restore(rig.main, "first"),
        lambda: rig.write("f", b"ten", 1),
        lambda: rig.snapshot(),
        lambda: rig.workspace.undo(rig.main),
        lambda: rig.write("f", b"end", 1),
    ):
        with suppress(OSError):
            act()
        shown = rig.picture()
        snapshots = rig.snapshot_pictures()
        copy = Rig(storage.after_kill(), clock=rig.clock)
        assert copy.picture() == shown
        assert copy.snapshot_pictures() == snapshots
        copy.die()
    assert rig.findings() == []
    rig.close()


class Listener:
    """A mount that has some files open."""

    def __init__(self, *held: InodeNumber) -> None:
        self.held = list(held)
        self.adopted: dict[InodeNumber, InodeNumber] = {}
        self.published_trees: list[Tree] = []

    def orphans(
        self, branch: Branch, old: Tree, new: Tree, touched: Touched | None
    ) -> list[InodeNumber]:
        return [number for number in self.held if old.inode(number) != new.inode(number)]

    def published(
        self,
        branch: Branch,
        old: Tree,
        new: Tree,
        touched: Touched | None,
        adopted: dict[InodeNumber, InodeNumber],
    ) -> None:
        self.adopted = adopted
        self.published_trees.append(new)


@pytest.mark.parametrize("path", [None, b"f"])
def test_what_is_open_lives_on_under_another_number(workspace: Rig, path: bytes | None) -> None:
    number = workspace.make("f", b"old")
    workspace.snapshot("first")
    workspace.write("f", b"new content")
    listener = workspace.main.listener = Listener(number)
    workspace.workspace.restore(workspace.main, "first", path)
    fresh = listener.adopted[number]
    assert workspace.read("f") == b"old"
    main = workspace.main
    assert main.read(fresh, 0, 100) == b"new content"
    main.write(fresh, 0, b"NEW", 5)
    assert main.read(fresh, 0, 100) == b"NEW content"
    assert fresh in main.tree.unlinked
    assert len(listener.published_trees) == 1
    main.listener = None
    workspace.restart()
    assert workspace.main.tree.inode(fresh) is None


def test_generations_count_publishes(workspace: Rig) -> None:
    workspace.make("f")
    workspace.snapshot("first")
    before = workspace.main.generation
    workspace.workspace.restore(workspace.main, "first")
    workspace.workspace.restore(workspace.main, "first", b"f")
    workspace.make("g")
    assert workspace.main.generation == before + 2


def test_layers_left_behind_stay_readable_and_are_synced(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_layers, "OPEN_MAX", 2)
    workspace.make("f", b"0")
    workspace.snapshot("s0")
    for number in range(1, 6):
        workspace.write("f", b"%d" % number)
        workspace.snapshot(f"s{number}")
        workspace.workspace.restore(workspace.main, "s0")
    workspace.main.sync()
    assert workspace.main.is_synced
    for number in range(6):
        assert workspace.picture_at(f"s{number}")[b"f"][-1] == b"%d" % number


def test_a_checkpoint_changes_nothing_that_can_be_seen(workspace: Rig) -> None:
    workspace.make("f", b"before")
    first = workspace.snapshot()
    shown = workspace.picture()
    workspace.checkpoint()
    assert workspace.picture() == shown
    assert workspace.main.records_since_base == 0
    workspace.write("f", b"after!")
    workspace.seal_all()
    assert workspace.read("f") == b"after!"
    assert workspace.picture_at(first) == shown


def test_a_roll_that_nobody_wrote_after_is_resumed(workspace: Rig) -> None:
    """A kill between a new layer and its first record once cut the layer's header off."""
    workspace.make("f", b"x")
    workspace.main.roll()
    for _ in range(2):
        workspace.restart()
        assert workspace.read("f") == b"x"
        assert workspace.main.is_changed
    workspace.make("g")
    workspace.restart()
    assert workspace.read("g") == b""


def test_bytes_shared_by_two_files_are_not_given_back_by_one(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 1)
    data = bytes(range(1, 251)) * 100
    workspace.make("a", data)
    workspace.make("b")
    inode = workspace.main.tree.existing(workspace.number("a"))
    workspace.commit(Share(workspace.number("b"), 0, len(data), inode.extents, 5))
    workspace.write("a", bytes(len(data)))
    workspace.main.reclaim()
    workspace.main.sync()
    workspace.main.reclaim()
    assert workspace.read("b") == data


def test_rewriting_a_file_does_not_grow_the_store(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 100_000)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 4096)
    workspace.make("f")
    for number in range(50):
        workspace.write("f", bytes([number + 1]) * 40_000)
        workspace.main.sync()
        workspace.main.reclaim()
    layer = workspace.main.position.layer
    paths = [f"layers/{layer >> 32:02x}/{layer:010x}/scratch-{i:06d}" for i in range(60)]
    assert sum(map(workspace.storage.allocated_bytes, paths)) < 300_000
    assert workspace.read("f") == bytes([50]) * 40_000
