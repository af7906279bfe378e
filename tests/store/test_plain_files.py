"""Plain files: whole or not there, after any crash; one maker at a time; cleared for good."""

import threading
from pathlib import Path

import pytest
from blake3 import blake3

from pyi_fs.ids import ContentDigest
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.plain_files import PLAIN, PlainFile, PlainFiles, list_plain
from pyi_fs.store.storage import Storage
from tests.support.plain_rig import content, key
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage

PARTS = [b"some", b"", b"bytes" * 1000]
WHOLE = b"".join(PARTS)


def made(storage: Storage, number: int = 1, parts: list[bytes] = PARTS) -> PlainFile:
    files = PlainFiles(storage)
    with files.alone(key(number)):
        return files.make(key(number), parts)


def test_what_was_made_is_found_with_its_bytes() -> None:
    storage = MemoryStorage()
    files = PlainFiles(storage)
    assert files.find(key(1)) is None
    file = made(storage)
    assert file == PlainFile(key(1), ContentDigest(blake3(WHOLE).digest()))
    assert files.find(key(1)) == file
    assert files.find(key(2)) is None
    assert storage.read(file.path) == WHOLE
    assert list(list_plain(storage)) == [file]


def test_a_file_is_whole_only_with_the_bytes_and_the_size_it_should_have(tmp_path: Path) -> None:
    files, file = PlainFiles(DirectoryStorage(tmp_path)), made(DirectoryStorage(tmp_path))
    assert files.is_whole(file)
    assert files.is_whole(file, len(WHOLE))
    assert not files.is_whole(file, len(WHOLE) + 1)
    path = tmp_path / file.path
    path.write_bytes(WHOLE[:-1])
    assert not files.is_whole(file)
    path.write_bytes(WHOLE[:-1] + b"x")
    assert not files.is_whole(file)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files.is_whole(file)


def test_what_goes_wrong_while_it_is_made_leaves_nothing() -> None:
    storage = MemoryStorage()

    def parts():
        yield b"begun"
        raise ValueError("a chunk that cannot be read")

    files = PlainFiles(storage)
    with pytest.raises(ValueError, match="a chunk"), files.alone(key(1)):
        files.make(key(1), parts())
    assert files.find(key(1)) is None
    assert storage.list(f"{PLAIN}/01") == ["lock"]


@pytest.mark.parametrize("fail_at", range(9))
def test_a_disk_that_fails_is_told_and_leaves_nothing(fail_at: int) -> None:
    storage = FailingStorage(fail_at)
    try:
        file = made(storage)
    except OSError:
        assert PlainFiles(storage).find(key(1)) is None
        file = made(storage)
    assert storage.read(file.path) == WHOLE


def test_a_crash_at_any_moment_leaves_a_whole_file_or_none() -> None:
    """By a kill, and by power losses; made again afterwards, what was left half made is gone."""
    crash_at, is_over, kept = 0, False, 0
    while not is_over:
        storage = CrashingStorage(crash_at, seed=crash_at)
        try:
            made(storage)
            is_over = True
        except Crash:
            pass
        losses = [storage.after_power_loss(seed, holes=True) for seed in range(8)]
        for found in (storage.after_kill(), *losses):
            for file in list_plain(found):
                assert found.read(file.path) == WHOLE
                kept += 1
            file = made(found)
            assert found.read(file.path) == WHOLE
            assert found.list(f"{PLAIN}/01") == sorted(["lock", file.path.rpartition("/")[2]])
        crash_at += 1
    assert crash_at > 5
    assert kept


def test_one_makes_a_file_and_the_other_finds_it(tmp_path: Path) -> None:
    """The second waits for the lock, and would otherwise make a second file of the same bytes."""
    first, second = (PlainFiles(DirectoryStorage(tmp_path)) for _ in range(2))
    found: list[PlainFile | None] = []

    def wait() -> None:
        with second.alone(key(1)):
            found.append(second.find(key(1)))

    thread = threading.Thread(target=wait)
    with first.alone(key(1)):
        thread.start()
        file = first.make(key(1), PARTS)
        assert found == []
    thread.join(60)
    assert found == [file]


def test_clearing_takes_all_of_them_durably_whoever_died_over_one() -> None:
    storage = MemoryStorage()
    for number in (1, 2, 3):
        made(storage, number)
    storage.open_append(f"{PLAIN}/02/0123.tmp", create=True).append(b"half")
    assert PlainFiles(storage).clear() == 4
    for after in (storage, *(storage.after_power_loss(seed) for seed in range(8))):
        names = [name for top in after.list(PLAIN) for name in after.list(f"{PLAIN}/{top}")]
        assert set(names) <= {"lock"}


def test_clearing_waits_for_who_makes_one(tmp_path: Path) -> None:
    """Else what he copied would come to be there after the purge that cleared them."""
    maker, purge = (PlainFiles(DirectoryStorage(tmp_path)) for _ in range(2))
    thread = threading.Thread(target=purge.clear)
    with maker.alone(key(1)):
        thread.start()
        file = maker.make(key(1), PARTS)
    thread.join(60)
    assert not (tmp_path / file.path).exists()


def test_clearing_copes_with_what_does_not_belong_there(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    made(storage)
    (tmp_path / PLAIN / "stray").write_text("x")
    assert [file.key for file in list_plain(storage)] == [key(1)]
    PlainFiles(storage).remove_abandoned()
    PlainFiles(storage).clear()
    assert sorted(path.name for path in (tmp_path / PLAIN).rglob("*")) == ["01", "lock"]
    assert PlainFiles(DirectoryStorage(tmp_path / "nowhere")).clear() == 0


def test_what_the_dead_left_is_removed_and_what_the_living_make_is_not(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    files = PlainFiles(storage)
    for number in (1, 2):
        made(storage, number)
        (tmp_path / PLAIN / f"0{number}" / "0123.tmp").write_text("half")
    lock = storage.lock(f"{PLAIN}/01/lock")
    assert lock is not None
    files.remove_abandoned()
    assert [path.parent.name for path in (tmp_path / PLAIN).rglob("*.tmp")] == ["01"]
    lock.release()
    files.remove_abandoned()
    assert not list((tmp_path / PLAIN).rglob("*.tmp"))
    assert len(list(list_plain(storage))) == 2


def test_names_of_other_directories_are_passed_over() -> None:
    storage = MemoryStorage()
    file = PlainFile(key(1), content(2))
    storage.make_directory(f"{PLAIN}/02", parents=True)
    storage.make_directory(f"{PLAIN}/long", parents=True)
    name = file.path.rpartition("/")[2]
    for directory in ("02", "long"):
        storage.open_append(f"{PLAIN}/{directory}/{name}", create=True)
    assert list(list_plain(storage)) == []
