"""How workspaces begin and end: empty, as forks, removed."""

import stat
from pathlib import Path

import pytest

from pyi_fs.engine.founding import (
    create_workspace,
    default_store_path,
    fork_workspace,
    remove_workspace,
)
from pyi_fs.errors import AlreadyExistsError, BusyError, InvalidArgumentError, NotFoundError
from pyi_fs.ids import WorkspaceName
from pyi_fs.store import layout
from tests.support.crashes import RecordingStorage
from tests.support.storage import Crash, CrashingStorage
from tests.support.workspaces import NAME, Boot, IndexShelf, Rig, new_workspace, refused


def forked(rig: Rig, at: str | None, name: str = "fork") -> Rig:
    fork_workspace(rig.store, NAME, at, name)
    return Rig(rig.storage, name, clock=rig.clock)


def test_a_new_workspace_is_an_empty_directory_of_its_owner(workspace: Rig) -> None:
    create_workspace(workspace.store, "other", mode=0o750, uid=3, gid=4)
    other = Rig(workspace.storage, "other")
    root = other.main.tree.existing(other.number(""))
    assert (root.mode, root.uid, root.gid) == (stat.S_IFDIR | 0o750, 3, 4)
    assert list(other.main.tree.walk()) == []
    assert workspace.store.workspace_names() == ["other", NAME]
    other.close()


def test_a_taken_name_and_no_name_are_refused(workspace: Rig) -> None:
    with pytest.raises(AlreadyExistsError, match=NAME):
        create_workspace(workspace.store, NAME)
    with pytest.raises(AlreadyExistsError, match=NAME):
        fork_workspace(workspace.store, NAME, None, NAME)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-a", "1a", ".a", "a b", "a" * 129])
def test_what_is_no_name_makes_nothing(workspace: Rig, name: str) -> None:
    for make in (
        lambda: create_workspace(workspace.store, name),
        lambda: fork_workspace(workspace.store, NAME, None, name),
    ):
        with pytest.raises(InvalidArgumentError):
            make()
    assert workspace.store.workspace_names() == [NAME]
    assert not workspace.storage.exists(layout.pins(workspace.main.position.layer))


def test_a_fork_that_is_refused_leaves_nothing(workspace: Rig) -> None:
    workspace.make("f")
    before = workspace.main.position.layer
    for source, at, name in ((NAME, "nothing", "fork"), ("none", None, "fork"), (NAME, None, NAME)):
        with pytest.raises((NotFoundError, AlreadyExistsError)):
            fork_workspace(workspace.store, source, at, name)
    assert workspace.store.workspace_names() == [NAME]
    assert not workspace.storage.exists(layout.pins(before))


def test_a_fork_of_a_workspace_without_main_begins_at_its_first_branch(workspace: Rig) -> None:
    workspace.make("f", b"main")
    for name in ("zwei", "eins"):
        workspace.workspace.make_branch(name, workspace.main)
    workspace.write("f", b"EINS", on="eins")
    workspace.workspace.drop_branch("main")
    fork = forked(workspace, None)
    assert fork.read("f") == b"EINS"
    assert fork.workspace.refs.branch_names() == ["main"]
    fork.close()
    workspace.workspace.undo(workspace.branch("eins"))


def test_a_pin_says_who_began_and_where(workspace: Rig) -> None:
    workspace.make("f", b"content")
    layer, offset = workspace.main.position
    forked(workspace, None).close()
    lines = workspace.storage.read(layout.pins(layer)).decode().splitlines()
    assert set(lines) == {f"fork {offset}"}


def test_the_store_is_that_of_the_environment_or_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_store_path("/data/store") == Path("/data/store")
    for nothing in (None, ""):
        assert default_store_path(nothing) == tmp_path / ".local/share/pyi"


def test_a_fork_begins_with_what_its_parent_has_now(workspace: Rig) -> None:
    workspace.make("f", b"parent")
    fork = forked(workspace, None)
    assert fork.picture() == workspace.picture()
    fork.write("f", b"FORK", 1)
    workspace.write("f", b"x")
    assert fork.read("f") == b"pFORKt"
    assert workspace.read("f") == b"xarent"
    fork.close()


def test_a_fork_may_begin_at_a_snapshot_or_a_branch(workspace: Rig) -> None:
    workspace.make("f", b"one")
    id_ = workspace.snapshot("first")
    workspace.write("f", b"two")
    workspace.workspace.make_branch("side", workspace.main)
    workspace.write("f", b"sid", on="side")
    for at, content in (("first", b"one"), (id_, b"one"), ("side", b"sid"), ("main", b"two")):
        fork = forked(workspace, at, f"fork-{content.decode()}-{at[:1]}x".replace("1", "n"))
        assert fork.read("f") == content
        fork.close()
    with pytest.raises(NotFoundError, match="none"):
        fork_workspace(workspace.store, NAME, "none", "x")


def test_inode_numbers_of_a_fork_begin_above_its_parents(workspace: Rig) -> None:
    number = workspace.make("f")
    fork = forked(workspace, None)
    assert fork.make("g") > number
    assert fork.workspace.refs.inode_end > workspace.workspace.refs.inode_end
    fork.close()


def test_what_a_fork_begins_with_is_not_given_back_by_its_parent(workspace: Rig) -> None:
    """The pin is made before the position is looked up: what is there then stays."""
    workspace.make("f", bytes(range(256)) * 8192)
    before = workspace.picture()
    fork = forked(workspace, None)
    for _ in range(3):
        workspace.write("f", bytes(2 << 20))
        workspace.main.sync()
        workspace.main.reclaim()
    assert fork.picture() == before
    fork.close()


def test_a_fork_survives_power_loss_though_its_parent_was_not_synced(
    shelf: IndexShelf, boot: Boot
) -> None:
    storage = RecordingStorage(shelf.directory())
    rig = new_workspace(storage)
    rig.make("f", b"parent")
    fork_workspace(rig.store, NAME, None, "fork")
    boot.again()
    for seed in range(20):
        fork = Rig(storage.without_power(shelf, seed), "fork")
        assert fork.read("f") == b"parent"
        fork.close()
    rig.die()


def test_a_removed_workspace_is_gone_and_its_forks_are_not(workspace: Rig) -> None:
    workspace.make("f", b"kept")
    fork = forked(workspace, None)
    fork.close()
    again = forked(Rig(workspace.storage), None, "again")
    again.close()
    path = f"{layout.workspace_directory(WorkspaceName('fork'))}/mount-1.log"
    workspace.storage.open_append(path, create=True).close()
    remove_workspace(workspace.store, "fork")
    assert workspace.store.workspace_names() == ["again", NAME]
    assert not workspace.storage.exists("workspaces/fork")
    assert refused(remove_workspace, workspace.store, "fork") is NotFoundError


@pytest.mark.parametrize("late", ["synced", "locks/main"])
def test_who_looked_just_before_is_not_in_the_way_of_removing(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """A collection notes how far a log is durable, or looks at a lock, which makes its file."""
    forked(workspace, None).close()
    storage = workspace.storage
    path = f"{layout.workspace_directory(WorkspaceName('fork'))}/{late}"
    remove, coming = storage.remove_directory, [path]

    def remove_directory(directory: str) -> None:
        if coming and coming[0].startswith(f"{directory}/"):
            storage.open_append(coming.pop(), create=True).close()
        remove(directory)

    monkeypatch.setattr(storage, "remove_directory", remove_directory)
    remove_workspace(workspace.store, "fork")
    assert coming == []
    assert not storage.exists("workspaces/fork")


def test_a_workspace_in_use_is_not_removed(workspace: Rig) -> None:
    workspace.make("f")
    with pytest.raises(BusyError, match="in use"):
        remove_workspace(workspace.store, NAME)


def test_a_maker_killed_at_any_call_is_in_nobodys_way(shelf: IndexShelf, boot: Boot) -> None:
    """The name is either taken, by a workspace that works, or free."""
    counting = CrashingStorage(None, host_root=shelf.directory())
    new_workspace(counting).die()
    for number in range(len(counting.calls)):
        crashing = CrashingStorage(number, host_root=shelf.directory())
        with pytest.raises(Crash):
            new_workspace(crashing)
        left = crashing.after_kill()
        try:
            rig = Rig(left)
        except (NotFoundError, FileNotFoundError):
            rig = new_workspace(left)
        rig.make("f", b"works")
        assert rig.read("f") == b"works"
        rig.close()
