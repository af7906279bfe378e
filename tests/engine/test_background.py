"""What runs beside requests: nothing while idle; durable, small and sealed after work."""

import itertools

import pytest
import trio.testing

from pyi_fs import limits
from pyi_fs.cli.worker import worker_command
from pyi_fs.engine.background import Background
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.gc_record import Record, write_record
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.format.table import Table
from pyi_fs.ids import ROOT_INODE, WorkspaceName
from pyi_fs.model.check import check
from pyi_fs.model.mutation import Create, SetAttributes
from pyi_fs.store import layout
from pyi_fs.store.journal import read_synced


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


async def test_a_bug_between_two_pieces_of_work_ends_nothing(
    workspace, nursery, autojump_clock, monkeypatch, caplog
):
    monkeypatch.setattr(Background, "_keep", lambda *_: 1 / 0)
    nursery.start_soon(background(workspace).run)
    await trio.sleep(60)
    assert caplog.text.count("a round of background work") > 5


async def test_an_idle_workspace_is_never_looked_at(workspace, nursery, autojump_clock):
    workspace.open_branch("main")
    looks = []

    def clock():
        looks.append(trio.current_time())
        return looks[-1]

    work = background(workspace, clock=clock)
    nursery.start_soon(work.run)
    await trio.sleep(3600)
    before = len(looks)
    await trio.sleep(24 * 3600)
    assert len(looks) == before


async def test_what_was_written_is_durable_after_the_interval(workspace, nursery, autojump_clock):
    branch = workspace.open_branch("main")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    make(branch, b"a")
    assert not branch.is_synced
    await trio.sleep(31)
    assert branch.is_synced
    assert workspace.log.is_synced


async def test_a_branch_opened_later_wakes_it_too(workspace, nursery, autojump_clock):
    branch = workspace.open_branch("main")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    workspace.make_branch("later", branch)
    later = workspace.open_branch("later")
    make(later, b"a")
    await trio.sleep(31)
    assert later.is_synced


async def test_a_record_of_the_log_alone_is_durable_after_the_interval(
    workspace, nursery, autojump_clock
):
    branch = workspace.open_branch("main")
    branch.sync()
    workspace.log.sync()
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    workspace.make_branch("side", branch)
    assert not workspace.log.is_synced
    await trio.sleep(31)
    assert workspace.log.is_synced


async def test_after_work_it_is_woken_for_what_is_due_and_then_never_again(
    workspace, nursery, autojump_clock, monkeypatch
):
    """A commit, its sync after 30 s, its seal after 60 s: not a look every quarter of a second."""
    branch = workspace.open_branch("main")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    sealed = []

    async def do(*arguments):
        sealed.append((arguments[0], trio.current_time()))
        await trio.lowlevel.checkpoint()
        return True

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    monkeypatch.setattr(workspace.store.storage, "exists", lambda _: False)
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    rounds: list[int] = []
    monkeypatch.setattr(work, "_seal", counted(work._seal, rounds))  # noqa: SLF001
    make(branch, b"a")
    await trio.sleep(120)
    assert [kind for kind, _ in sealed] == ["seal"]
    assert 60 <= sealed[0][1] < 61
    assert len(rounds) < 10
    await trio.sleep(24 * 3600)
    assert len(rounds) < 10


def counted(function, calls):
    async def call():
        calls.append(1)
        return await function()

    return call


async def test_a_seal_that_fails_is_tried_again_more_and_more_seldom(
    workspace, nursery, autojump_clock, monkeypatch
):
    branch = workspace.open_branch("main")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    tried = []

    async def do(*arguments):
        tried.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    make(branch, b"a")
    await trio.sleep(1000)
    waits = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert [round(wait, -1) for wait in waits] == [60, 120, 240, 480]


async def test_syncs_go_on_while_a_worker_is_at_work(
    workspace, nursery, autojump_clock, monkeypatch
):
    branch = workspace.open_branch("main")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)

    async def do(*arguments):
        await trio.sleep(3600)
        return True

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    make(branch, b"a")
    await trio.sleep(70)
    make(branch, b"b")
    assert not branch.is_synced
    await trio.sleep(31)
    assert branch.is_synced


async def test_names_of_snapshots_are_looked_through_only_when_refs_have_changed(
    workspace, nursery, autojump_clock, monkeypatch
):
    branch = workspace.open_branch("main")
    work = background(workspace, clock=trio.current_time)
    done = []

    async def do(*arguments):
        done.append(arguments)
        await trio.lowlevel.checkpoint()
        return True

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    make(branch, b"a")
    taken = workspace.snapshot(branch, name="kept").snapshot
    await trio.sleep(10)
    await work._root()  # noqa: SLF001
    assert done == [("root", "w", taken.id)]
    refs = workspace.log.refs
    monkeypatch.setattr(type(refs), "names", property(lambda _: 1 // 0))
    await work._root()  # noqa: SLF001


async def test_a_collection_that_is_due_is_made_when_something_was_written(
    workspace, nursery, autojump_clock, monkeypatch, caplog
):
    caplog.set_level("INFO")
    branch = workspace.open_branch("main")
    work = background(workspace, clock=trio.current_time)
    looks, done = [], []

    def is_due(_):
        looks.append(trio.current_time())
        return "time has passed"

    async def do(*arguments):
        done.append(arguments)
        await trio.lowlevel.checkpoint()
        return arguments == ("gc",)

    monkeypatch.setattr(work._workers, "do", do)  # noqa: SLF001
    monkeypatch.setattr("pyi_fs.engine.background.is_collection_due", is_due)
    record = Record(1, 2, "time has passed", 3, 4, 5, 6, 7, 8)
    write_record(workspace.store.storage, record)
    nursery.start_soon(work.run)
    await trio.sleep(24 * 3600)
    # Once when it began, and then not while nothing is written.
    assert len(looks) == 1
    assert looks[0] <= 60
    for index in range(8):
        make(branch, b"%d" % index)
        await trio.sleep(15)
    await trio.sleep(24 * 3600)
    assert 3 <= len(looks) <= 4
    assert done.count(("gc",)) == len(looks)
    assert "collection (time has passed): 3 snapshots deleted, 6 bytes freed" in caplog.text


async def test_settings_that_make_no_sense_are_said_and_nothing_is_collected(
    workspace, nursery, autojump_clock, caplog
):
    workspace.open_branch("main")
    (workspace.store.path / "gc.settings").write_text("{")
    nursery.start_soon(background(workspace, clock=trio.current_time).run)
    await trio.sleep(24 * 3600)
    assert caplog.text.count("the store is not collected") == 1


@pytest.mark.slow
async def test_a_checkpoint_changes_nothing_and_empties_the_overlay(workspace):
    branch = workspace.open_branch("main")
    numbers = [make(branch, b"f%d" % index) for index in range(50)]
    snapshot = workspace.snapshot(branch).snapshot
    await background(workspace).checkpoint(branch)
    assert isinstance(branch.tree.base, Table)
    assert len(branch.tree.inodes) == 0
    branch.write(numbers[3], 0, b"changed", 2)
    assert branch.read(numbers[3], 0, 9) == b"changedxx"
    assert [change.path for change in workspace.diff(snapshot, branch)] == [b"f3"]
    old = workspace.snapshot_tree(snapshot)
    assert workspace.reader.read(old.existing(numbers[3]), 0, 3) == b"xxx"


@pytest.mark.slow
async def test_sealed_segments_of_open_and_left_layers_read_the_same_and_are_gone(workspace):
    branch = workspace.open_branch("main")
    number = make(branch, b"a", b"first" * 1000)
    first = workspace.snapshot(branch).snapshot
    branch.write(number, 0, b"second", 2)
    workspace.snapshot(branch)
    workspace.restore(branch, first.id)
    branch.write(number, 10_000, b"third", 3)
    branch.sync()
    branch.tidy()
    assert len(branch.writers()) == 1
    branch.writers()[0].scratch.close_current()
    work = background(workspace)
    closed = work._closed_segments()  # noqa: SLF001
    assert len({segment >> 24 for segment in closed}) == 2
    await work.seal(list(closed))
    storage = workspace.store.storage
    assert not any(storage.exists(layout.scratch(segment)) for segment in closed)
    assert work._closed_segments() == {}  # noqa: SLF001
    assert branch.read(number, 0, 5) == b"first"
    assert branch.read(number, 10_000, 5) == b"third"
    for snapshot, data in zip(workspace.refs.ordered(), (b"firstf", b"second"), strict=True):
        tree = workspace.snapshot_tree(snapshot)
        assert workspace.reader.read(tree.existing(number), 0, 6) == data


async def test_a_file_written_over_and_over_does_not_grow_the_store(
    workspace, nursery, autojump_clock, monkeypatch
):
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 1 << 20)
    monkeypatch.setattr("pyi_fs.engine.background._RECLAIM_BYTES_MIN", 1 << 20)
    branch = workspace.open_branch("main")
    number = make(branch, b"big")
    nursery.start_soon(background(workspace, clock=trio.current_time).run)
    data = bytes(range(256)) * 1024
    for _ in range(30):
        branch.commit(SetAttributes(number, None, None, None, 0, None, None, 2))
        for index in range(8):
            branch.write(number, index * len(data), data, 3)
        await trio.sleep(0.3)
    storage = workspace.store.storage
    kept = sum(
        storage.allocated_bytes(layout.scratch(segment))
        for segment in workspace.store.layers.segments(branch.position.layer)
    )
    assert kept < 5 * 8 * len(data)
    assert branch.read(number, 0, len(data)) == data


async def test_a_round_that_fails_is_tried_again_and_ends_nothing(
    workspace, nursery, autojump_clock, monkeypatch, caplog
):
    branch = workspace.open_branch("main")
    nursery.start_soon(background(workspace, sync_interval=1.0, clock=trio.current_time).run)
    await trio.testing.wait_all_tasks_blocked()
    make(branch, b"a")
    failures = [OSError(28, "No space left on device"), ValueError("a bug")]
    sync = branch.sync

    def failing_sync():
        if failures:
            raise failures.pop(0)
        sync()

    monkeypatch.setattr(branch, "sync", failing_sync)
    await trio.sleep(60)
    assert branch.is_synced
    assert "No space left" in caplog.text
    assert "a bug" in caplog.text


async def test_a_dropped_branch_is_durable_after_the_interval(workspace, nursery, autojump_clock):
    main = workspace.open_branch("main")
    workspace.make_branch("side", main)
    main.sync()
    side = workspace.open_branch("side")
    work = background(workspace, sync_interval=30.0, clock=trio.current_time)
    nursery.start_soon(work.run)
    await trio.testing.wait_all_tasks_blocked()
    make(side, b"a")
    position = side.position
    workspace.drop_branch("side")
    await trio.sleep(29)
    assert read_synced(workspace.store.storage, position.layer) < position.offset
    await trio.sleep(2)
    assert read_synced(workspace.store.storage, position.layer) == position.offset
    assert not workspace.leftovers.has_closed


@pytest.mark.parametrize("much_bytes", [16 << 20, 1])
async def test_on_a_tight_disk_what_was_removed_is_given_back_at_once(
    workspace, nursery, autojump_clock, monkeypatch, much_bytes
):
    """Little or much; also what was removed while the last of it was being given back."""
    monkeypatch.setattr("pyi_fs.engine.background._RECLAIM_BYTES_MIN", much_bytes)
    branch = workspace.open_branch("main")
    work = background(workspace, sync_interval=3600.0, clock=trio.current_time)
    nursery.start_soon(work.run)
    numbers = [make(branch, b"%d" % i, b"x" * 100_000) for i in range(3)]
    await trio.sleep(10)
    scratch = branch.writer.scratch
    sync = branch.sync

    def sync_late():
        sync()
        if numbers:
            branch.commit(SetAttributes(numbers.pop(), None, None, None, 0, None, None, 2))

    branch.commit(SetAttributes(numbers.pop(), None, None, None, 0, None, None, 2))
    await trio.sleep(10)
    assert scratch.returned_bytes == 0
    monkeypatch.setattr(limits, "TIGHT_DISK_BYTES", 1 << 62)
    monkeypatch.setattr(branch, "sync", sync_late)
    branch.commit(SetAttributes(numbers.pop(), None, None, None, 0, None, None, 2))
    await trio.sleep(10)
    assert not numbers
    assert scratch.returned_bytes == 300_000
    assert scratch.garbage_bytes == 0
