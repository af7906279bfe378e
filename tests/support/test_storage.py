"""What the fakes promise: a crash at every call, and what a disk may have forgotten after it."""

import errno

import pytest

from pyi_fs.store.storage import Storage
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage


def write(storage: Storage, path: str, *parts: bytes) -> None:
    file = storage.open_append(path, create=True)
    file.append(*parts)
    file.close()


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


def test_a_failed_sync_drops_what_it_was_about_until_it_is_written_again() -> None:
    storage = FailingStorage(2)
    file = storage.open_append("f", create=True)
    file.append(b"0123")
    with pytest.raises(OSError, match="error"):
        file.sync()
    file.append(b"45")
    file.sync()
    storage.sync_directory("")
    assert storage.read("f") == b"012345"
    assert storage.after_power_loss(0).read("f") == bytes(4) + b"45"
    file.write_again(0, b"0123")
    file.sync()
    assert storage.after_power_loss(0).read("f") == b"012345"
    file.close()


def test_failing_storage_fails_once_and_goes_on() -> None:
    storage = FailingStorage(1, error=errno.ENOSPC)
    file = storage.open_append("a", create=True)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"x")
    assert file.size_bytes == 0
    assert file.append(b"y") == 0
    assert storage.read("a") == b"y"
