"""One conformance suite for every storage; then what the real one and the fakes promise beyond."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from pyi_fs.store import directory_storage
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, Storage, punchable
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage

KINDS: dict[str, Callable[[Path], Storage]] = {
    "directory": DirectoryStorage,
    "memory": MemoryStorage,
    "crashing": lambda root: CrashingStorage(None, host_root=root),
    "failing": lambda root: FailingStorage(None, host_root=root),
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
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.append(b"late")
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


# --- the real one --------------------------------------------------------------------------------


def test_files_and_directories_are_for_their_owner_only(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path / "new" / "store")
    storage.make_directory("", parents=True)
    storage.make_directory("d/e", parents=True)
    write(storage, "d/a", b"")
    storage.lock("d/l")
    for path, mode in (("new", 0o700), ("new/store/d", 0o700), ("new/store/d/e", 0o700)):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == mode
    for path in ("d/a", "d/l"):
        assert stat.S_IMODE(os.stat(storage.host_path(path)).st_mode) == 0o600


def test_failed_append_is_cut_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes half and then is full: the real calls, the second of which fails."""
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    file.append(b"kept")
    real = os.pwrite
    calls = count()

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if next(calls) == 0:
            return real(descriptor, data[:3], offset)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="full"):
        file.append(b"not kept")
    monkeypatch.undo()
    assert storage.read("a") == b"kept"
    assert file.append(b" after") == 4
    assert storage.read("a") == b"kept after"


def test_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:3], offset))
    monkeypatch.setattr(os, "pwritev", lambda fd, parts, offset: real(fd, parts[0][:1], offset))
    assert file.append(b"abcdefghij") == 0
    assert file.append(b"klm", b"nop") == 10
    assert storage.read("a") == b"abcdefghijklmnop"


def test_nowait_read_of_what_is_partly_in_memory_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel answers with the part it has; only at the end of the file is short an answer."""
    storage = DirectoryStorage(tmp_path)
    write(storage, "a", b"abcdef")
    reader = storage.open_read("a")

    def has_two_bytes(descriptor: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        data = os.pread(descriptor, 2, offset)
        buffers[0][: len(data)] = data
        return len(data)

    monkeypatch.setattr(os, "preadv", has_two_bytes)
    assert reader.read_at_nowait(0, 6) is None
    assert reader.read_at_nowait(0, 2) == b"ab"
    assert reader.read_at_nowait(4, 6) == b"ef"
    for number in (errno.EAGAIN, errno.EOPNOTSUPP):

        def refuses(*_: object, number: int = number) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "preadv", refuses)
        assert reader.read_at_nowait(0, 2) is None


def test_punch_without_support_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    file.append(b"x" * 8192)
    monkeypatch.setattr(directory_storage, "_fallocate", lambda: lambda *_: errno.EOPNOTSUPP)
    file.punch(0, 8192)
    assert storage.read("a") == b"x" * 8192
    monkeypatch.setattr(directory_storage, "_fallocate", lambda: lambda *_: errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        file.punch(0, 8192)


def test_lock_is_held_against_another_process_and_freed_by_its_death(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    program = (
        "import sys; from pyi_fs.store.directory_storage import DirectoryStorage\n"
        "held = DirectoryStorage(sys.argv[1]).lock('l'); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert storage.lock("l", wait=False) is None
        process.kill()
        process.wait()
        assert storage.lock("l", wait=False) is not None


def test_write_atomic_that_fails_removes_its_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.write_atomic("a", [b"old"])

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "sync failed")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(OSError, match="sync failed"):
        storage.write_atomic("a", [b"new"])
    assert storage.list("") == ["a"]
    assert storage.read("a") == b"old"


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


# --- the fakes -----------------------------------------------------------------------------------


def scenario(storage: Storage) -> None:
    """Two files made durable step by step, then one replaced."""
    storage.make_directory("d")
    storage.sync_directory("")
    storage.write_atomic("d/a", [b"first"])
    file = storage.open_append("d/log", create=True)
    file.append(b"1" * 6000)
    file.sync()
    storage.sync_directory("d")
    file.append(b"2" * 6000)
    file.punch(0, 4096)
    storage.write_atomic("d/a", [b"second"])
    file.close()


def test_crash_can_happen_before_each_call_and_nothing_happens_after_it() -> None:
    counting = CrashingStorage(None)
    scenario(counting)
    assert [call for call, _ in counting.calls[:4]] == [
        *("make_directory", "sync_directory", "create", "append")
    ]
    for number in range(len(counting.calls)):
        storage = CrashingStorage(number, seed=number)
        with pytest.raises(Crash):
            scenario(storage)
        with pytest.raises(Crash):
            storage.list("")
        with pytest.raises(Crash):
            storage.remove("d/a")
        for found in (storage.after_kill(), *map(storage.after_power_loss, range(20))):
            if found.exists("d/a"):
                assert found.read("d/a") in (b"first", b"second")


def test_kill_keeps_what_was_written_and_may_tear_the_append_it_hit() -> None:
    torn = set()
    for seed in range(20):
        storage = CrashingStorage(2, seed=seed)
        file = storage.open_append("a", create=True)
        file.append(b"whole")
        with pytest.raises(Crash):
            file.append(b"torn")
        torn.add(storage.after_kill().read("a"))
    assert torn == {b"whole", b"wholet", b"wholeto", b"wholetor"}


def test_power_loss_keeps_what_was_synced_and_may_lose_all_else() -> None:
    storage = MemoryStorage()
    scenario(storage)
    file = storage.open_append("d/log")
    file.append(b"3" * 6000)
    storage.remove("d/a")
    seen = {"lost": 0, "kept": 0, "torn": 0, "removed": 0, "punched": 0}
    for seed in range(200):
        found = storage.after_power_loss(seed)
        content = found.read("d/log")
        assert content[4096:6000] == b"1" * 1904
        seen["lost"] += len(content) == 6000
        seen["kept"] += content[6000:] == b"2" * 6000 + b"3" * 6000
        seen["torn"] += len(content) > 6000 and content.endswith(b"\0")
        seen["removed"] += not found.exists("d/a")
        seen["punched"] += content.startswith(b"\0")
        assert found.after_power_loss(seed).read("d/log") == content
    assert all(seen.values()), seen


def test_power_loss_may_drop_a_name_whose_directory_was_not_synced() -> None:
    storage = MemoryStorage()
    storage.make_directory("d")
    storage.sync_directory("")
    file = storage.open_append("d/a", create=True)
    file.append(b"x")
    file.sync()
    storage.rename("d/a", "d/b")
    states = {tuple(storage.after_power_loss(seed).list("d")) for seed in range(50)}
    assert states == {(), ("a",), ("b",)}
    storage.sync_directory("d")
    states = {tuple(storage.after_power_loss(seed).list("d")) for seed in range(50)}
    assert states == {("b",)}


def test_power_loss_takes_what_is_below_a_lost_directory() -> None:
    storage = MemoryStorage()
    storage.make_directory("d")
    write(storage, "d/a", b"x")
    storage.sync_directory("d")
    assert {storage.after_power_loss(seed).exists("d/a") for seed in range(50)} == {True, False}


def test_power_loss_is_the_same_for_the_same_seed() -> None:
    storage = MemoryStorage()
    scenario(storage)
    for seed in range(10):
        first, second = storage.after_power_loss(seed), storage.after_power_loss(seed)
        assert first.list("d") == second.list("d")
        assert first.read("d/log") == second.read("d/log")


def test_what_a_kill_left_unsynced_can_still_be_lost() -> None:
    storage = MemoryStorage()
    write(storage, "a", b"x")
    killed = storage.after_kill()
    assert killed.read("a") == b"x"
    assert {killed.after_power_loss(seed).exists("a") for seed in range(20)} == {True, False}


def test_failing_storage_fails_once_and_goes_on() -> None:
    storage = FailingStorage(1, error=errno.ENOSPC)
    file = storage.open_append("a", create=True)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"x")
    assert file.size_bytes == 0
    assert file.append(b"y") == 0
    assert storage.read("a") == b"y"
