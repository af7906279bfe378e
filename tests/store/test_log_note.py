"""How far a log was durable: the last entry that is whole."""

import msgspec
import pytest

from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, WorkspaceName
from pyi_fs.model.operation import Begin
from pyi_fs.store import layout
from pyi_fs.store.log_note import NOTE_BYTES_MAX, add_to_note, begin_note, read_log_synced
from pyi_fs.store.oplog import OperationsLog
from tests.support.storage import MemoryStorage

NAME = WorkspaceName("w")
PATH = layout.log_synced(NAME)
ENTRY_BYTES = 16
BEGIN = Begin(1, BranchName("main"), Position(LayerId(1), 50), "empty", InodeNumber(2))


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage()
    storage.make_directory(layout.workspace_directory(NAME), parents=True)
    return storage


def test_the_last_entry_counts(storage: MemoryStorage) -> None:
    assert read_log_synced(storage, NAME) == 0
    begin_note(storage, NAME, 10)
    for end in (300, 20, 2**40):
        add_to_note(storage, NAME, end)
        assert read_log_synced(storage, NAME) == end
    assert storage.size_bytes(PATH) == 4 * ENTRY_BYTES


def test_a_note_that_is_not_there_is_begun(storage: MemoryStorage) -> None:
    add_to_note(storage, NAME, 5)
    assert read_log_synced(storage, NAME) == 5


@pytest.mark.parametrize("kept", range(ENTRY_BYTES))
def test_of_a_torn_entry_nothing_counts_and_the_next_ones_do(
    storage: MemoryStorage, kept: int
) -> None:
    begin_note(storage, NAME, 10)
    add_to_note(storage, NAME, 20)
    torn = storage.read(PATH)[: ENTRY_BYTES + kept]
    storage.write_atomic(PATH, [torn])
    assert read_log_synced(storage, NAME) == 10
    add_to_note(storage, NAME, 30)
    assert read_log_synced(storage, NAME) == 30


def test_a_damaged_entry_counts_for_nothing(storage: MemoryStorage) -> None:
    begin_note(storage, NAME, 10)
    add_to_note(storage, NAME, 20)
    for offset in range(ENTRY_BYTES, 2 * ENTRY_BYTES):
        bad = bytearray(storage.read(PATH))
        bad[offset] ^= 0x40
        other = MemoryStorage()
        other.make_directory(layout.workspace_directory(NAME), parents=True)
        other.write_atomic(PATH, [bad])
        assert read_log_synced(other, NAME) == 10


def test_it_is_begun_again_when_it_has_grown(storage: MemoryStorage) -> None:
    begin_note(storage, NAME, 1)
    sizes = set()
    for end in range(2, 3 * NOTE_BYTES_MAX // ENTRY_BYTES):
        add_to_note(storage, NAME, end)
        assert read_log_synced(storage, NAME) == end
        sizes.add(storage.size_bytes(PATH) or 0)
    assert max(sizes) == NOTE_BYTES_MAX
    assert ENTRY_BYTES in sizes


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_workspace_that_is_removed_while_it_is_made_leaves_no_note(
    monkeypatch: pytest.MonkeyPatch, is_made_again: bool
) -> None:
    """By another process, which saw its log already. What it may have made since keeps its own."""
    storage = MemoryStorage()
    sync_directory, rest = storage.sync_directory, ["once"]

    def removed(path: str) -> None:
        sync_directory(path)
        if rest:
            rest.pop()
            OperationsLog.remove(storage, NAME)
            if is_made_again:
                OperationsLog.create(storage, NAME, BEGIN)

    monkeypatch.setattr(storage, "sync_directory", removed)
    OperationsLog.create(storage, NAME, msgspec.structs.replace(BEGIN, source="long" * 80))
    assert rest == []
    if is_made_again:
        assert OperationsLog(storage, NAME).refs.operation_count == 1
    else:
        assert not storage.exists(layout.log_synced(NAME))
        OperationsLog.create(storage, NAME, BEGIN)
