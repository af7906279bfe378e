"""The files of segments: their numbers, and a failed sync that is not forgotten."""

import pytest

from pyi_fs.ids import LayerId, segment_id
from pyi_fs.store import layout
from pyi_fs.store.segment_files import next_segment_index, segments_of, sync_file
from tests.support.storage import FailingStorage, MemoryStorage

LAYER = LayerId(0x0102030405)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def test_no_number_of_a_segment_is_used_twice(storage: MemoryStorage) -> None:
    assert next_segment_index(storage, LAYER) == 0
    storage.make_directory(layout.layer_directory(LAYER), parents=True)
    for name, index in (("map-000004", 5), ("runs-000006", 7), ("scratch-000002", 7)):
        path = f"{layout.layer_directory(LAYER)}/{name}"
        storage.open_append(path, create=True).close()
        assert next_segment_index(storage, LAYER) == index
    assert segments_of(storage, LAYER) == [segment_id(LAYER, 2)]


def test_a_sync_that_failed_proves_nothing_from_then_on() -> None:
    storage, doubtful = FailingStorage(None), set[str]()
    storage.open_append("file", create=True).close()
    storage.fail_after(0)
    for _ in range(2):
        with pytest.raises(OSError, match="file"):
            sync_file(storage, "file", doubtful)
    assert doubtful == {"file"}
