"""One conformance suite for every storage: the real one and the fakes of the tests."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, Storage, punchable
from pyi_fs.store.tiers import TieredStorage
from tests.support.storage import CrashingStorage, FailingStorage, MemoryStorage

KINDS: dict[str, Callable[[Path], Storage]] = {
    "directory": DirectoryStorage,
    "memory": MemoryStorage,
    "crashing": lambda root: CrashingStorage(None, host_root=root),
    "failing": lambda root: FailingStorage(None, host_root=root),
    "tiered": lambda root: TieredStorage(DirectoryStorage(root), lambda _: None),
    "tiered with memory": lambda root: TieredStorage(
        DirectoryStorage(root), lambda _: MemoryStorage()
    ),
}


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return KINDS[request.param](tmp_path)


def write(storage: Storage, path: str, *parts: bytes) -> None:
    file = storage.open_append(path, create=True)
    file.append(*parts)
    file.close()


# --- conformance ---------------------------------------------------------------------------------


def test_appends_go_one_after_another_and_are_read_back(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    assert file.append(b"one", bytearray(b"two"), memoryview(b"three")) == 0
    assert file.append(b"four") == 11
    assert file.append(b"") == 15
    assert file.append() == 15
    assert file.size_bytes == 15
    file.sync()
    assert file.read_at(3, 8) == b"twothree"
    assert file.read_at(11, 100) == b"four"
    assert file.read_at(15, 1) == b""
    file.close()
    again = storage.open_append("a")
    assert again.append(b"five") == 15
    assert storage.read("a") == b"onetwothreefourfive"


def test_extending_appends_zeros_that_take_up_room(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    file.append(b"one")
    file.extend(10_000)
    assert file.size_bytes == 10_003
    assert file.append(b"two") == 10_003
    file.close()
    assert storage.read("a") == b"one" + bytes(10_000) + b"two"
    assert storage.allocated_bytes("a") >= 10_006


def test_a_disk_says_how_much_it_takes(storage: Storage) -> None:
    assert storage.free_bytes() > 0


def test_what_was_just_written_is_in_memory(storage: Storage) -> None:
    storage.write_atomic("f", [b"content"], durable=False)
    assert storage.is_in_memory("f")
    assert storage.is_in_memory("nothing")


def test_a_file_says_when_it_was_touched(storage: Storage) -> None:
    assert storage.touched_ns("a") is None
    storage.touch("a")
    assert not storage.exists("a")
    write(storage, "a", b"one")
    before = storage.touched_ns("a")
    storage.touch("a")
    after = storage.touched_ns("a")
    assert before is not None
    assert after is not None
    assert after >= before
    assert storage.read("a") == b"one"


def test_append_of_more_parts_than_the_kernel_takes_at_once(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    parts = [bytes([number % 251]) for number in range(3000)]
    assert file.append(*parts) == 0
    assert storage.read("a") == b"".join(parts)


def test_append_of_a_large_part(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    file.append(b"x" * (5 << 20))
    assert file.append(b"y") == 5 << 20
    assert file.read_at((5 << 20) - 1, 2) == b"xy"


def test_create_refuses_a_name_that_is_taken(storage: Storage) -> None:
    write(storage, "a", b"1")
    with pytest.raises(FileExistsError):
        storage.open_append("a", create=True)
    assert storage.read("a") == b"1"


def test_absent_files_are_errors_where_they_are_needed(storage: Storage) -> None:
    for call in (storage.open_append, storage.open_read, storage.read):
        with pytest.raises(FileNotFoundError):
            call("a")
    with pytest.raises(FileNotFoundError):
        storage.rename("a", "b")
    with pytest.raises(FileNotFoundError):
        storage.sync_directory("d")
    with pytest.raises(FileNotFoundError):
        storage.open_append("d/a", create=True)


def test_absent_files_are_no_error_where_a_repetition_asks(storage: Storage) -> None:
    storage.remove("a")
    storage.remove_directory("d")
    assert storage.list("d") == []
    assert storage.size_bytes("a") is None
    assert storage.allocated_bytes("a") == 0
    assert not storage.exists("a")


def test_closed_file_refuses_and_closes_twice(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    file.close()
    file.close()
    for late in (lambda: file.append(b"late"), file.sync):
        with pytest.raises(OSError, match="Bad file descriptor") as refused:
            late()
        assert refused.value.errno == errno.EBADF
    reader = storage.open_read("a")
    reader.close()
    reader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.read_at(0, 1)


def test_reader_sees_what_is_appended_after_it_opened(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    reader = storage.open_read("a")
    assert reader.size_bytes() == 0
    file.append(b"abc")
    assert reader.size_bytes() == 3
    assert reader.read_at(1, 10) == b"bc"


def test_nowait_read_is_the_read_or_nothing(storage: Storage) -> None:
    write(storage, "a", b"abcdef")
    reader = storage.open_read("a")
    assert reader.read_at_nowait(0, 6) in (None, b"abcdef")
    assert reader.read_at_nowait(4, 6) in (None, b"ef")
    assert reader.read_at_nowait(6, 6) in (None, b"")


def test_reader_survives_removal_of_the_name(storage: Storage) -> None:
    write(storage, "a", b"abc")
    reader = storage.open_read("a")
    storage.remove("a")
    assert not storage.exists("a")
    assert reader.read_at(0, 3) == b"abc"


def test_map_outlives_its_file(storage: Storage) -> None:
    write(storage, "a", b"abc" * 5000)
    write(storage, "empty")
    reader = storage.open_read("a")
    mapped = memoryview(reader.map())
    reader.close()
    assert bytes(mapped[14_997:]) == b"abc"
    assert mapped.readonly
    empty = storage.open_read("empty")
    assert empty.map() == b""


def test_truncate_cuts_and_the_next_append_goes_there(storage: Storage) -> None:
    file = storage.open_append("a", create=True)
    file.append(b"abcdef")
    file.truncate(2)
    assert file.size_bytes == 2
    assert file.append(b"X") == 2
    assert storage.read("a") == b"abX"


def test_bytes_are_written_again_where_they_are(storage: Storage) -> None:
    file = storage.open_append("f", create=True)
    file.append(b"0123456789")
    file.write_again(2, b"234")
    file.write_again(10, b"")
    assert file.size_bytes == 10
    assert file.append(b"ab") == 10
    file.sync()
    file.close()
    assert storage.read("f") == b"0123456789ab"


def test_punch_gives_back_whole_blocks_and_nothing_else(storage: Storage) -> None:
    block = PUNCH_BLOCK_BYTES
    content = b"".join(bytes([65 + number]) * block for number in range(8))
    file = storage.open_append("a", create=True)
    file.append(content)
    file.sync()
    before = storage.allocated_bytes("a")
    file.punch(block // 2, 3 * block)
    assert file.size_bytes == 8 * block
    found = storage.read("a")
    punched = content[:block] + bytes(2 * block) + content[3 * block :]
    assert found in (punched, content)
    if found == punched:
        assert storage.allocated_bytes("a") == before - 2 * block
    file.punch(1, block)
    assert storage.read("a") == found
    file.punch(7 * block, 100 * block)
    assert file.append(b"after") == 8 * block
    assert storage.read("a")[8 * block :] == b"after"


def test_write_atomic_replaces_and_leaves_no_other_name(storage: Storage) -> None:
    storage.make_directory("d")
    storage.write_atomic("d/a", [b"one", b"two"])
    storage.write_atomic("d/a", [b"three"])
    storage.write_atomic("d/b", [], durable=False)
    assert storage.read("d/a") == b"three"
    assert storage.list("d") == ["a", "b"]
    storage.write_atomic("top", [b"x"])
    assert storage.read("top") == b"x"


def test_rename_replaces(storage: Storage) -> None:
    storage.make_directory("d")
    write(storage, "a", b"new")
    write(storage, "d/b", b"old")
    storage.rename("a", "d/b")
    assert storage.list("") == ["d"]
    assert storage.read("d/b") == b"new"
    storage.sync_directory("d")
    storage.sync_directory("")


def test_directories_are_made_listed_and_removed(storage: Storage) -> None:
    storage.make_directory("d")
    with pytest.raises(FileExistsError):
        storage.make_directory("d")
    with pytest.raises(FileNotFoundError):
        storage.make_directory("x/y")
    storage.make_directory("d/e/f", parents=True)
    storage.make_directory("d/e/f", parents=True)
    write(storage, "d/z", b"")
    assert storage.list("d") == ["e", "z"]
    assert storage.exists("d/e")
    with pytest.raises(OSError, match="not empty"):
        storage.remove_directory("d/e")
    storage.remove_directory("d/e/f")
    storage.remove_directory("d/e")
    assert storage.list("d") == ["z"]
    with pytest.raises(NotADirectoryError):
        storage.remove_directory("d/z")
    with pytest.raises(NotADirectoryError):
        storage.list("d/z")


def test_exclusive_lock_keeps_others_out_until_released(storage: Storage) -> None:
    held = storage.lock("l")
    assert held is not None
    assert storage.exists("l")
    assert storage.lock("l", wait=False) is None
    assert storage.lock("l", exclusive=False, wait=False) is None
    held.write_text("a longer text")
    held.write_text("process 12")
    assert held.read_text() == "process 12"
    held.release()
    held.release()
    assert storage.exists("l")
    again = storage.lock("l", wait=False)
    assert again is not None
    assert again.read_text() == "process 12"


def test_shared_locks_live_together_and_keep_an_exclusive_one_out(storage: Storage) -> None:
    first = storage.lock("l", exclusive=False)
    second = storage.lock("l", exclusive=False, wait=False)
    assert first is not None
    assert second is not None
    first.release()
    assert storage.lock("l", wait=False) is None
    second.release()
    assert storage.lock("l", wait=False) is not None


def test_host_path_is_below_the_root(storage: Storage, tmp_path: Path) -> None:
    assert storage.host_path("index.sqlite") == f"{tmp_path}/index.sqlite"
    assert storage.host_path("") == str(tmp_path)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 4096, (0, 4096)),
        (1, 4096, (4096, 4096)),
        (4095, 4098, (4096, 8192)),
        (4096, 4095, (4096, 4096)),
        (100, 50, (4096, 4096)),
    ],
)
def test_only_whole_blocks_are_punchable(
    offset: int, length: int, expected: tuple[int, int]
) -> None:
    assert punchable(offset, length) == expected


def test_a_shared_file_is_appended_to_in_turns(storage: Storage) -> None:
    write(storage, "a", b"first")
    one, other = storage.open_shared("a"), storage.open_shared("a")
    one.begin_turn()
    assert storage.lock("a", wait=False) is None
    assert one.append(b"-one") == 5
    one.end_turn()
    other.begin_turn()
    assert other.size_bytes == 9
    assert other.append(b"-other") == 9
    other.truncate(13)
    other.end_turn()
    one.begin_turn()
    assert one.size_bytes == 13
    assert one.read_at(0, 100) == storage.read("a") == b"first-one-oth"
    one.end_turn()
    one.close()
    other.close()
    free = storage.lock("a", wait=False)
    assert free is not None
    free.release()


def test_a_shared_file_that_was_removed_gives_no_turn(storage: Storage) -> None:
    """What is appended to it nobody would ever find."""
    write(storage, "a", b"first")
    shared = storage.open_shared("a")
    storage.remove("a")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            shared.begin_turn()
    shared.close()
    with pytest.raises(FileNotFoundError):
        storage.open_shared("a")
