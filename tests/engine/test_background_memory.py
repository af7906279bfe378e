"""What runs beside requests leaves ephemeral branches alone, and gives their memory back."""

import time

import pytest
import trio.testing

from pyi_fs import limits
from pyi_fs.cli.worker import worker_command
from pyi_fs.engine.background import Background
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import ROOT_INODE, WorkspaceName
from pyi_fs.model.check import check
from pyi_fs.model.mutation import Create
from pyi_fs.store import layout


@pytest.fixture
def workspace(tmp_path):
    store = Store.open(tmp_path / "store")
    create_workspace(store, "w")
    opened = Workspace(store, WorkspaceName("w"))
    yield opened
    for branch in opened.opened_branches():
        assert check(branch.tree) == []
    opened.close()
    store.close()


@pytest.fixture(autouse=True)
def inline_threads(monkeypatch):
    """A clock that jumps does not wait for threads: their work is done at once."""

    async def run_sync(function, *arguments):
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


def background(workspace, **options):
    return Background(workspace, worker=worker_command(workspace.store.path), **options)


def make(branch, name, data=b"x" * 5000):
    number = branch.next_inode()
    branch.commit(Create(ROOT_INODE, name, number, 0o100644, 0, 0, 1))
    branch.write(number, 0, data, 1)
    return number


async def test_nothing_of_an_ephemeral_branch_is_synced_sealed_or_put_under_a_table(
    workspace, shared_memory, nursery, autojump_clock, monkeypatch
):
    monkeypatch.setattr(limits, "FOLD_RECORDS_MIN", 2)
    main = workspace.open_branch("main")
    workspace.make_branch("try", main, ephemeral=True)
    branch = workspace.open_branch("try")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    called = []

    async def do(*arguments):
        called.append(arguments)
        await trio.lowlevel.checkpoint()
        return True

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(5):
        make(branch, b"%d" % number)
    position = branch.position
    await trio.sleep(3600)
    assert called == []
    assert branch.position == position
    assert workspace.store.layers.is_in_memory(position.layer)
    assert not branch.is_synced
    assert workspace.log.is_synced
    assert not workspace.store.storage.disk.exists(layout.journal(position.layer))


async def test_memory_of_a_dropped_branch_is_given_back_when_undo_is_over(
    workspace, shared_memory, nursery, autojump_clock, monkeypatch
):
    began_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: began_ns + int(trio.current_time() * 1e9))
    main = workspace.open_branch("main")
    workspace.make_branch("try", main, ephemeral=True)
    make(workspace.open_branch("try"), b"a")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    called = []

    async def do(*arguments):
        called.append((arguments, round(trio.current_time())))
        await trio.lowlevel.checkpoint()
        return True

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    workspace.drop_branch("try")
    await trio.sleep(3600)
    assert called == [(("release",), 2 * limits.EPHEMERAL_UNDO_SECONDS)]


async def test_base_tables_that_were_removed_are_let_go_of_when_something_is_written(
    workspace, nursery, autojump_clock
):
    """By whom it may be: a file that is mapped has its blocks."""
    branch, layers = workspace.open_branch("main"), workspace.store.layers
    branch.commit(Create(ROOT_INODE, b"f", branch.next_inode(), 0o100644, 0, 0, 1))
    position, _ = branch.roll()
    branch.sync()
    layer = branch.position.layer
    write_base(workspace.store, layer, position)
    table = layers.base(layer)
    workspace.store.storage.remove(layout.base(layer))
    assert layers.base(layer) is table
    nursery.start_soon(background(workspace, clock=trio.current_time).run)
    branch.commit(Create(ROOT_INODE, b"g", branch.next_inode(), 0o100644, 0, 0, 1))
    await trio.sleep(limits.COLLECT_LOOK_SECONDS + 1)
    assert layers.base(layer) is None
