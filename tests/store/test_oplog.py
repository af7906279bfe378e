"""The operations log: one order for all processes, appended under a lock."""

import errno
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from pyi_fs.errors import AlreadyExistsError, CorruptRecordError, NotFoundError
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, WorkspaceName
from pyi_fs.model.operation import Begin, MakeBranch, Operation, Reserve
from pyi_fs.model.refs import Refs
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.log_note import read_log_synced
from pyi_fs.store.oplog import OperationsLog, has_operations
from pyi_fs.store.storage import SharedFile
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage

NAME = WorkspaceName("ws")
PATH = layout.operations_log(NAME)
MAIN = BranchName("main")
BEGIN = Begin(1, MAIN, Position(LayerId(1), 50), "empty", InodeNumber(2))


def reserve(refs: Refs) -> Operation:
    return Reserve(InodeNumber(refs.inode_end + 10))


def branch(name: str) -> Operation:
    return MakeBranch(1, BranchName(name), Position(LayerId(1), 50), None, False)


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage()
    OperationsLog.create(storage, NAME, BEGIN)
    return storage


def test_what_was_appended_is_folded_and_found_again(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    assert log.append(reserve) == Reserve(InodeNumber(12))
    log.append(lambda _: branch("b"))
    assert log.refs.branch_names() == ["b", "main"]
    again = OperationsLog(storage, NAME)
    assert again.refs == log.refs
    assert [(number, type(op).__name__) for number, op in again.operations()] == [
        (1, "Begin"),
        (2, "Reserve"),
        (3, "MakeBranch"),
    ]
    assert [done.operation for done in again.refs.undoable] == [3]


def test_two_processes_take_turns_and_see_each_other(storage: MemoryStorage) -> None:
    one, other = OperationsLog(storage, NAME), OperationsLog(storage, NAME)
    ends = [log.append(reserve) for log in (one, other, one, other)]
    assert ends == [Reserve(InodeNumber(end)) for end in (12, 22, 32, 42)]
    assert one.refresh() == other.refs


def test_what_a_decision_refuses_leaves_the_log_as_it_was(storage: MemoryStorage) -> None:
    log, size = OperationsLog(storage, NAME), storage.size_bytes(PATH)

    def refuse(refs: Refs) -> Operation:
        if refs.branches:
            raise AlreadyExistsError("taken")
        return reserve(refs)

    with pytest.raises(AlreadyExistsError):
        log.append(refuse)
    assert storage.size_bytes(PATH) == size
    log.append(reserve)


def test_a_torn_record_is_cut_by_the_next_writer(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    whole = storage.read(PATH)
    log.append(reserve)
    torn = storage.read(PATH)
    for size in range(len(whole), len(torn)):
        storage.write_atomic(PATH, [torn[:size]])
        again = OperationsLog(storage, NAME)
        assert again.refs.inode_end == 12
        again.append(lambda _: branch("b"))
        third = OperationsLog(storage, NAME)
        assert third.refs == again.refs
        assert third.refs.branch_names() == ["b", "main"]


def test_a_torn_end_is_cut_without_adding_anything(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    whole = storage.read(PATH)
    log.cut_torn_end()
    assert storage.read(PATH) == whole
    storage.open_append(PATH).append(bytes(30))
    OperationsLog(storage, NAME).cut_torn_end()
    assert storage.read(PATH) == whole


def damaged(storage: MemoryStorage, offset: int) -> MemoryStorage:
    """Returns the store with one byte of the log changed, as a bad disk does."""
    copy = storage.after_kill()
    whole = bytearray(copy.read(PATH))
    whole[offset] ^= 0x20
    copy.write_atomic(PATH, [bytes(whole)])
    return copy


def test_damage_before_the_last_sync_is_an_alarm_and_cuts_nothing(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    begun = storage.size_bytes(PATH) or 0
    log.append(reserve)
    log.sync()
    synced = storage.size_bytes(PATH) or 0
    log.append(reserve)
    for offset in range(begun, synced):
        broken = damaged(storage, offset)
        with pytest.raises(CorruptRecordError, match="synced"):
            OperationsLog(broken, NAME)
        assert broken.size_bytes(PATH) == storage.size_bytes(PATH)


def test_damage_after_the_last_sync_is_a_torn_end(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    log.sync()
    synced = storage.size_bytes(PATH) or 0
    log.append(reserve)
    for offset in range(synced, storage.size_bytes(PATH) or 0):
        again = OperationsLog(damaged(storage, offset), NAME)
        assert again.refs.inode_end == 12
        assert again.append(reserve) == Reserve(InodeNumber(22))


def test_a_damaged_note_counts_for_nothing(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    log.sync()
    note = storage.read(layout.log_synced(NAME))[-16:]
    for other in (b"", note[:-1], note[:8] + bytes(8), b"\xff" * 16):
        storage.write_atomic(layout.log_synced(NAME), [other])
        broken = damaged(storage, (storage.size_bytes(PATH) or 0) - 1)
        assert OperationsLog(broken, NAME).refs.inode_end == 2


def test_a_note_that_cannot_be_written_fails_no_sync() -> None:
    failing = FailingStorage(None)
    OperationsLog.create(failing, NAME, BEGIN)
    log = OperationsLog(failing, NAME)
    log.append(reserve)
    calls = len(failing.calls)
    failing = FailingStorage(calls + 1, times=10)
    OperationsLog.create(failing, NAME, BEGIN)
    log = OperationsLog(failing, NAME)
    log.append(reserve)
    log.sync()
    assert log.is_synced


def test_a_failed_append_is_as_if_it_had_not_been_tried() -> None:
    failing = FailingStorage(None)
    OperationsLog.create(failing, NAME, BEGIN)
    log = OperationsLog(failing, NAME)
    calls = len(failing.calls)
    log.append(reserve)
    per_append = len(failing.calls) - calls
    for number in range(per_append):
        failing = FailingStorage(calls + number)
        OperationsLog.create(failing, NAME, BEGIN)
        log = OperationsLog(failing, NAME)
        with pytest.raises(OSError, match="error"):
            log.append(reserve)
        assert log.refs.inode_end == 2
        assert log.append(reserve) == Reserve(InodeNumber(12))
        assert OperationsLog(failing, NAME).refs.inode_end == 12


def test_what_was_synced_survives_power_loss(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    log.sync()
    log.append(reserve)
    assert not log.is_synced
    for seed in range(20):
        left = OperationsLog(storage.after_power_loss(seed), NAME)
        assert left.refs.inode_end in (12, 22)


def test_what_a_killed_process_left_unsynced_is_synced_by_the_next(
    storage: MemoryStorage,
) -> None:
    """Its records are as good as durable to whoever asks for a sync now."""
    OperationsLog(storage, NAME).append(reserve)
    log = OperationsLog(storage, NAME)
    assert not log.is_synced
    log.sync()
    for seed in range(20):
        assert OperationsLog(storage.after_power_loss(seed), NAME).refs.inode_end == 12


def test_a_new_log_is_durable(storage: MemoryStorage) -> None:
    for seed in range(20):
        assert OperationsLog(storage.after_power_loss(seed), NAME).refs.branch_names() == ["main"]


def test_there_is_one_workspace_of_a_name(storage: MemoryStorage) -> None:
    with pytest.raises(FileExistsError):
        OperationsLog.create(storage, NAME, BEGIN)
    assert OperationsLog(storage, NAME).refs.operation_count == 1


def test_no_workspace_is_not_found(storage: MemoryStorage) -> None:
    other = WorkspaceName("other")
    assert not has_operations(storage, other)
    with pytest.raises(NotFoundError, match="other"):
        OperationsLog(storage, other)


def test_a_maker_killed_at_any_call_leaves_nothing_that_is_in_the_way() -> None:
    counting = CrashingStorage(None)
    OperationsLog.create(counting, NAME, BEGIN)
    for number in range(len(counting.calls)):
        crashing = CrashingStorage(number, seed=number)
        with pytest.raises(Crash):
            OperationsLog.create(crashing, NAME, BEGIN)
        left = crashing.after_kill()
        if not has_operations(left, NAME):
            with pytest.raises(NotFoundError):
                OperationsLog(left, NAME)
            OperationsLog.create(left, NAME, BEGIN)
        assert OperationsLog(left, NAME).refs.branch_names() == ["main"]


def test_in_turn_nobody_else_appends(storage: MemoryStorage) -> None:
    one, other = OperationsLog(storage, NAME), OperationsLog(storage, NAME)
    refused = []

    def call() -> None:
        with pytest.raises(RuntimeError, match="waits for ever"):
            other.append(reserve)
        refused.append(True)

    one.in_turn(call)
    assert refused
    assert other.append(reserve) == Reserve(InodeNumber(12))


def removed_workspace(storage: MemoryStorage) -> OperationsLog:
    """Returns a log with some records, opened before its workspace was removed."""
    log = OperationsLog(storage, NAME)
    for _ in range(5):
        log.append(reserve)
    log.sync()
    log = OperationsLog(storage, NAME)
    OperationsLog.remove(storage, NAME)
    return log


def test_the_log_of_a_removed_workspace_is_not_found(storage: MemoryStorage) -> None:
    """Whoever opened it before may read on; there is nothing to add to."""
    log = removed_workspace(storage)
    for call in (lambda: log.append(reserve), log.sync, lambda: log.in_turn(pytest.fail)):
        with pytest.raises(NotFoundError, match="'ws': it was removed"):
            call()
    assert len(list(log.operations())) == 6


def test_one_that_was_removed_after_a_record_too(storage: MemoryStorage) -> None:
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    OperationsLog.remove(storage, NAME)
    with pytest.raises(NotFoundError, match="it was removed"):
        log.append(reserve)


def test_a_later_workspace_of_the_name_is_not_cut_or_noted(storage: MemoryStorage) -> None:
    log = removed_workspace(storage)
    other = Begin(2, MAIN, Position(LayerId(2), 50), "empty", InodeNumber(2))
    OperationsLog.create(storage, NAME, other)
    later = OperationsLog(storage, NAME)
    for _ in range(9):
        later.append(reserve)
    for call in (lambda: log.append(reserve), log.sync):
        with pytest.raises(NotFoundError, match="it was removed"):
            call()
    assert OperationsLog(storage, NAME).refs == later.refs


def test_what_was_noted_of_a_removed_log_is_not_held_against_the_next(
    storage: MemoryStorage,
) -> None:
    removed_workspace(storage)
    OperationsLog.create(storage, NAME, BEGIN)
    for seed in range(20):
        assert OperationsLog(storage.after_power_loss(seed), NAME).refs.branch_names() == ["main"]


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_log_that_is_lost_is_damage_and_no_free_name(storage: MemoryStorage, left: str) -> None:
    """A mount of that name would have begun anew, and all it had been given to collection."""
    storage.remove(PATH)
    if left == "an empty file":
        storage.open_append(PATH, create=True).close()
    assert not has_operations(storage, NAME)
    for call in (OperationsLog, partial(OperationsLog.create, first=BEGIN)):
        with pytest.raises(CorruptRecordError, match="synced to 26"):
            call(storage, NAME)
    OperationsLog.remove(storage, NAME)
    OperationsLog.create(storage, NAME, BEGIN)


def test_a_removal_stopped_at_any_call_leaves_no_damage() -> None:
    counting = made_storage(None)
    OperationsLog.remove(counting, NAME)
    for number in range(len(counting.calls)):
        crashing = made_storage(number)
        with suppress(Crash):
            OperationsLog.remove(crashing, NAME)
        for left in (crashing.after_kill(), *map(crashing.after_power_loss, range(8))):
            if has_operations(left, NAME):
                assert OperationsLog(left, NAME).refs.branch_names() == ["main"]
                OperationsLog.remove(left, NAME)
            with pytest.raises(NotFoundError):
                OperationsLog(left, NAME)
            OperationsLog.create(left, NAME, BEGIN)


def made_storage(number: int | None) -> CrashingStorage:
    """Returns a storage with a workspace that crashes at a call after it was made."""
    counting = CrashingStorage(None)
    OperationsLog.create(counting, NAME, BEGIN)
    made = len(counting.calls)
    crashing = CrashingStorage(None if number is None else made + number, seed=number or 0)
    OperationsLog.create(crashing, NAME, BEGIN)
    return crashing


def test_who_syncs_a_log_that_is_removed_meanwhile_notes_nothing(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next workspace of that name would be held against it."""
    log = OperationsLog(storage, NAME)
    log.append(reserve)
    opened = storage.open_shared

    def open_shared(path: str) -> SharedFile:
        file = opened(path)
        monkeypatch.setattr(storage, "open_shared", opened)
        OperationsLog.remove(storage, NAME)
        OperationsLog.create(storage, NAME, BEGIN)
        return file

    monkeypatch.setattr(storage, "open_shared", open_shared)
    with pytest.raises(NotFoundError, match="was removed"):
        log.sync()
    assert 0 < read_log_synced(storage, NAME) == storage.size_bytes(PATH)


@pytest.mark.parametrize("batch", [1, 3, 128])
def test_the_newest_come_first_and_none_that_come_meanwhile(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("pyi_fs.store.oplog._BATCH_RECORDS", batch)
    one, other = OperationsLog(storage, NAME), OperationsLog(storage, NAME)
    for number in range(5):
        (one, other)[number % 2].append(reserve)
    one.refresh()
    expected = list(one.operations())
    assert len(expected) == 6
    found = one.newest_first()
    newest = next(found)
    one.append(reserve)
    assert [newest, *found] == expected[::-1]
    assert list(other.newest_first())[-1] == expected[0]


def test_a_sync_after_one_that_failed_works_on_a_real_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two branches that sync at once may each find the other's sync not done yet."""
    disk = DirectoryStorage(tmp_path)
    OperationsLog.create(disk, NAME, BEGIN)
    log = OperationsLog(disk, NAME)
    log.append(reserve)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", broken)
        with pytest.raises(OSError, match="broken"):
            log.sync()
    log.sync()
    assert log.is_synced
    assert read_log_synced(disk, NAME) == disk.size_bytes(PATH)
