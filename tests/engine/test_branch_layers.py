"""Where a branch writes: in memory while it is ephemeral and there is room, on disk otherwise."""

import errno
from threading import Event, Thread

import pytest

from pyi_fs import limits
from pyi_fs.engine import branch_layers
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.ids import Position, WorkspaceName
from pyi_fs.model.mutation import Share
from pyi_fs.store import layout
from pyi_fs.store.promotion import is_in_memory
from tests.support.storage import MemoryStorage
from tests.support.tiers import Tiers
from tests.support.workspaces import Rig

MIB = 1 << 20


@pytest.fixture
def rig(tiered: Rig) -> Rig:
    """A durable branch `main` and an ephemeral one, `try`."""
    tiered.make("a", b"a" * 100)
    tiered.main.sync()
    tiered.workspace.make_branch("try", tiered.main, ephemeral=True)
    return tiered


def disk(rig: Rig) -> MemoryStorage:
    assert isinstance(rig.storage, Tiers)
    return rig.storage.disk_tier


def bytes_on_disk(rig: Rig) -> int:
    names = [name for name in _files(disk(rig), "") if not name.startswith("workspaces/")]
    return sum(disk(rig).size_bytes(name) or 0 for name in names)


def _files(storage: MemoryStorage, path: str) -> list[str]:
    names = storage._names.seen  # noqa: SLF001 - every file, wherever
    return [name for name in names if name.startswith(path) and names[name] != "directory"]


def bound(rig: Rig, size_bytes: int) -> None:
    assert rig.store.layers.bound is not None
    rig.store.layers.bound.bytes_max = size_bytes


def in_memory(rig: Rig, position: Position) -> bool:
    return is_in_memory(rig.storage, position.layer)


def test_nothing_of_an_ephemeral_branch_is_written_to_disk_but_operations(rig: Rig) -> None:
    before = bytes_on_disk(rig)
    log_bytes = disk(rig).size_bytes(layout.operations_log(WorkspaceName("ws"))) or 0
    rig.make("x", b"x" * MIB, on="try")
    for _ in range(20):
        rig.write("x", b"y" * MIB, on="try")
    rig.snapshot(on="try")
    rig.write("x", b"z" * MIB, on="try")
    rig.branch("try").sync()
    rig.branch("try").reclaim()
    assert bytes_on_disk(rig) == before
    grown = disk(rig).size_bytes(layout.operations_log(WorkspaceName("ws"))) or 0
    assert grown - log_bytes < 500
    rig.workspace.drop_branch("try")
    assert bytes_on_disk(rig) == before
    rig.workspace.undo(rig.main)
    assert rig.read("x", on="try") == b"z" * MIB


def test_the_next_process_goes_on_in_memory(rig: Rig) -> None:
    rig.make("x", b"x" * 5000, on="try")
    layer = rig.branch("try").position.layer
    rig.restart()
    assert rig.read("x", on="try") == b"x" * 5000
    rig.write("x", b"y" * 100, on="try")
    assert rig.branch("try").position.layer == layer
    assert in_memory(rig, rig.branch("try").position)


def test_above_the_bound_a_branch_goes_on_on_disk(rig: Rig) -> None:
    bound(rig, MIB)
    rig.make("x", on="try")
    for number in range(20):
        rig.write("x", bytes([number]) * 100_000, number * 100_000, on="try")
    branch = rig.branch("try")
    assert branch.is_ephemeral
    assert not in_memory(rig, branch.position)
    assert rig.read("x", on="try") == b"".join(bytes([n]) * 100_000 for n in range(20))
    assert rig.store.layers.bound is not None
    assert rig.store.layers.bound.used_bytes() <= MIB
    branch.sync()
    restored = rig.snapshot(on="try")
    rig.workspace.restore(branch, restored)
    rig.make("y", b"y", on="try")
    rig.restart()
    assert len(rig.read("x", on="try")) == 2_000_000


def test_garbage_is_given_back_before_disk_is_used(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that rewrites one file stays in memory, however much it writes."""
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 512 * 1024)
    bound(rig, 4 * MIB)
    rig.make("x", on="try")
    before = bytes_on_disk(rig)
    for number in range(40):
        rig.write("x", bytes([number]) * (MIB // 2), on="try")
    assert in_memory(rig, rig.branch("try").position)
    assert bytes_on_disk(rig) == before
    assert rig.read("x", on="try") == bytes([39]) * (MIB // 2)


@pytest.mark.parametrize("path", ["scratch", "journal", "directory"])
def test_a_full_tmpfs_is_nobodys_error(rig: Rig, path: str) -> None:
    """Whatever it is that memory has no room for, it is done on disk."""
    assert isinstance(rig.storage, Tiers)
    memory = rig.storage.memory_tier
    if path != "directory":
        rig.make("x", b"x" * 100, on="try")

    def refuses(call: str, name: str) -> None:
        is_directory = path == "directory" and call == "make_directory"
        if (call in ("append", "create") and path in name) or is_directory:
            raise OSError(errno.ENOSPC, "full", name)

    memory.refuses = refuses
    rig.make("y", b"y" * 1000, on="try")
    rig.write("y", b"Y", on="try")
    memory.refuses = None
    assert not in_memory(rig, rig.branch("try").position)
    assert rig.read("y", on="try") == b"Y" + b"y" * 999
    if path != "directory":
        assert rig.read("x", on="try") == b"x" * 100


def test_a_full_disk_is_an_error_where_memory_is_full_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(rig, 0)

    def full(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, "full")

    rig.branch("try")
    monkeypatch.setattr(disk(rig), "make_directory", full)
    with pytest.raises(OSError, match="full"):
        rig.make("x", on="try")
    monkeypatch.undo()
    monkeypatch.setattr(branch_layers, "_RECLAIM_BYTES_MIN", 1)
    rig.make("x", b"there is room again", on="try")


def test_other_errors_of_memory_are_raised(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.make("x", on="try")
    writer = rig.branch("try").writer
    assert writer is not None

    def broken(_: object) -> object:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(writer, "append_data", broken)
    with pytest.raises(OSError, match="broken"):
        rig.write("x", b"x", on="try")
    assert rig.branch("try").writer is writer


def test_a_named_snapshot_takes_the_present_out_of_memory(rig: Rig) -> None:
    rig.make("x", b"x" * 5000, on="try")
    unnamed = rig.snapshot(on="try")
    branch = rig.branch("try")
    assert in_memory(rig, branch.position)
    rig.snapshot("named", on="try")
    assert not in_memory(rig, branch.position)
    assert not in_memory(rig, rig.workspace.find_snapshot(unnamed).position)
    assert branch.is_ephemeral
    rig.write("x", b"y", on="try")
    assert in_memory(rig, branch.position)


def test_a_taken_name_copies_nothing(rig: Rig) -> None:
    rig.snapshot("taken")
    rig.make("x", b"x", on="try")
    with pytest.raises(Exception, match="taken"):
        rig.snapshot("taken", on="try")
    assert in_memory(rig, rig.branch("try").position)


def test_a_durable_branch_of_it_stands_on_disk_and_an_ephemeral_one_in_memory(rig: Rig) -> None:
    rig.make("x", b"x" * 100, on="try")
    rig.workspace.make_branch("more", rig.branch("try"), ephemeral=True)
    assert in_memory(rig, rig.branch("more").position)
    unnamed = rig.workspace.find_snapshot(rig.snapshot(on="try"))
    rig.write("x", b"y", on="try")
    rig.workspace.make_branch("old", unnamed)
    before = rig.branch("try").position
    assert in_memory(rig, before)
    assert disk(rig).exists(layout.journal(unnamed.position.layer))
    rig.workspace.make_branch("durable", rig.branch("try"))
    assert not in_memory(rig, rig.branch("durable").position)
    assert not is_in_memory(rig.storage, before.layer)


def test_restoring_its_snapshot_elsewhere_makes_it_durable(rig: Rig) -> None:
    rig.make("x", b"x" * 100, on="try")
    for path in (b"x", None):
        rig.write("x", b"%d" % len(path or b""), on="try")
        unnamed = rig.snapshot(on="try")
        position = rig.workspace.find_snapshot(unnamed).position
        rig.workspace.restore(rig.main, unnamed, path)
        found = disk(rig).size_bytes(layout.journal(position.layer)) or 0
        assert found >= position.offset


def test_a_fork_by_another_process_stands_on_disk_and_memory_goes_on(rig: Rig) -> None:
    rig.make("x", b"x" * 100, on="try")
    other = Rig(rig.storage)
    fork_workspace(other.store, "ws", "try", "fork")
    other.close()
    rig.write("x", b"y" * 100, on="try")
    assert in_memory(rig, rig.branch("try").position)
    fork = Rig(rig.storage, "fork")
    assert fork.read("x") == b"x" * 100
    fork.write("x", b"F")
    fork.main.sync()
    fork.close()
    assert rig.read("x", on="try") == b"y" * 100
    rig.snapshot("named", on="try")
    assert not in_memory(rig, rig.branch("try").position)


def test_head_makes_a_branch_durable_with_all_it_left(rig: Rig) -> None:
    rig.make("x", b"x" * 100, on="try")
    unnamed = rig.snapshot(on="try")
    rig.write("x", b"later", on="try")
    rig.workspace.restore(rig.branch("try"), unnamed)
    rig.write("x", b"now", on="try")
    branch = rig.branch("try")
    rig.workspace.switch_head(rig.main.name, branch.name)
    assert not branch.is_ephemeral
    assert not rig.workspace.refs.branches[branch.name].ephemeral
    assert isinstance(rig.storage, Tiers)
    assert [name for name in _files(rig.storage.memory_tier, "") if "journal" in name] == []
    rig.write("x", b"N", on="try")
    branch.sync()
    assert branch.is_synced
    rig.workspace.undo(branch)
    assert rig.read("x", on="try") == b"later" + b"x" * 95


def test_an_ephemeral_branch_is_never_synced(rig: Rig) -> None:
    rig.make("x", b"x" * 100, on="try")
    branch = rig.branch("try")
    rig.main.sync()
    assert isinstance(rig.storage, Tiers)
    rig.storage.moments = []
    branch.sync()
    rig.workspace.sync(branch)
    assert rig.storage.moments == []
    rig.storage.moments = None
    assert not branch.is_synced
    branch.tidy()


def test_bytes_shared_with_a_durable_branch_are_durable_when_they_are_shared(rig: Rig) -> None:
    source = rig.make("x", b"x" * 5000, on="try")
    extents = rig.branch("try").tree.existing(source).extents
    target = rig.make("y")
    position = rig.branch("try").position
    assert not disk(rig).exists(layout.journal(position.layer))
    rig.commit(Share(target, 0, 5000, extents, rig.now()))
    assert disk(rig).size_bytes(layout.journal(position.layer)) == position.offset
    assert in_memory(rig, position)
    assert rig.read("y") == b"x" * 5000


def test_a_sync_to_disk_keeps_nobody_from_leaving_a_layer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore on the event loop, while a thread copies a gigabyte for `fsync .pyi/snapshot`."""
    rig.make("x", b"x" * 100, on="try")
    branch, copying, may_end = rig.branch("try"), Event(), Event()
    sync_lineage = rig.store.layers.sync_lineage

    def slow(position: Position) -> None:
        copying.set()
        assert may_end.wait(60)
        sync_lineage(position)

    monkeypatch.setattr(rig.store.layers, "sync_lineage", slow)
    thread = Thread(target=branch.layers.copy_out)
    thread.start()
    assert copying.wait(60)
    branch.layers.move(branch.position)
    branch.tidy()
    rig.make("y", b"y", on="try")
    may_end.set()
    thread.join(60)
    assert rig.read("x", on="try") == b"x" * 100
