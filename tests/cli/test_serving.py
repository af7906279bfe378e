"""What the serving process decides before it mounts: which tree, and what the mount is told."""

import os

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.cli.arguments import Place
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.serving import mount_options, opened_root
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import BusyError, NotFoundError
from pyi_fs.ids import WorkspaceName
from pyi_fs.model.mutation import Create
from pyi_fs.model.refs import Snapshot


@pytest.fixture
def opened(store):
    workspaces.make_empty(store, "ws")
    found = Store.open(store)
    made: list[Workspace] = []

    def workspace() -> Workspace:
        made.append(Workspace(found, WorkspaceName("ws"), holder=f"/mnt/{len(made)}"))
        return made[-1]

    yield workspace
    for one in made:
        one.close()
    found.close()


@pytest.fixture
def request_of(store, tmp_path):
    def made(at: str | None = None, **options: object) -> MountRequest:
        return MountRequest(store, Place("ws", at), tmp_path, **options)  # type: ignore[arg-type]

    return made


def no_note(text: str) -> None:
    raise AssertionError(text)


def held(workspace: Workspace, request: MountRequest) -> Branch:
    branch = opened_root(workspace, request, no_note)
    assert isinstance(branch, Branch)
    return branch


def changed(branch: Branch) -> None:
    number = branch.next_inode()
    branch.commit(Create(branch.tree.resolve(b""), b"f%d" % number, number, 0o100644, 0, 0, 1))


def test_there_is_a_way_back_from_the_start(opened, request_of):
    workspace = opened()
    branch = opened_root(workspace, request_of(), no_note)
    assert isinstance(branch, Branch)
    last = workspace.last(branch)
    assert last is not None
    assert last.automatic == "at mount"


def test_a_snapshot_is_taken_only_if_something_changed(opened, request_of):
    workspace = opened()
    workspace.close_branch(held(workspace, request_of()))
    branch = held(workspace, request_of())
    assert len(workspace.refs.snapshots) == 1
    changed(branch)
    workspace.close_branch(branch)
    opened_root(workspace, request_of(), no_note)
    assert len(workspace.refs.snapshots) == 2


def test_read_only_shows_a_snapshot_and_holds_nothing(opened, request_of):
    root = opened_root(opened(), request_of(read_only=True), no_note)
    assert isinstance(root, Snapshot)
    assert isinstance(opened_root(opened(), request_of(), no_note), Branch)


def test_read_only_beside_a_writer_shows_its_newest_snapshot(opened, request_of):
    writer = opened()
    branch = held(writer, request_of())
    changed(branch)
    notes: list[str] = []
    root = opened_root(opened(), request_of(read_only=True), notes.append)
    assert root == writer.last(branch)
    assert "/mnt/0" in notes[0]
    with pytest.raises(BusyError, match="/mnt/0"):
        opened_root(opened(), request_of(), no_note)


def test_read_only_beside_a_writer_without_a_snapshot_is_refused(opened, request_of):
    opened().open_branch("main")
    with pytest.raises(NotFoundError, match="has no snapshot"):
        opened_root(opened(), request_of(read_only=True), no_note)


def test_a_branch_or_snapshot_that_is_not_there(opened, request_of):
    with pytest.raises(NotFoundError, match="no branch 'dev'"):
        opened_root(opened(), request_of(branch="dev"), no_note)
    with pytest.raises(NotFoundError, match="no snapshot '7'"):
        opened_root(opened(), request_of("7"), no_note)


def test_without_main_the_first_branch_is_shown(opened, request_of):
    workspace = opened()
    workspace.make_branch("dev", workspace.open_branch("main"))
    workspace.drop_branch("main")
    root = opened_root(workspace, request_of(), no_note)
    assert root.name == "dev"


def test_the_mount_is_told_what_was_asked_for(request_of, store, monkeypatch):
    options = mount_options(request_of(flags=("noexec",), snapshot_every=2.0), None)
    assert options.fsname == f"{store}#ws"
    assert options.snapshot_every == 2.0
    assert options.options == (() if os.geteuid() == 0 else ("noexec",))
    monkeypatch.setattr("pyi_fs.cli.serving.os.geteuid", lambda: 1000)
    assert mount_options(request_of(flags=("noexec",)), "1-a").options == ("noexec",)
    assert mount_options(request_of(spin_us=0.0), "1-a").spin_us == 0.0
