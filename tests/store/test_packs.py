"""Packs on a storage: published whole or not at all, read only verified, bounded in descriptors."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import CorruptPackError, StoreError
from pyi_fs.format import pack as form
from pyi_fs.ids import ChunkId, PackId
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.packs import (
    PackReader,
    PackWriter,
    list_packs,
    pack_path,
    read_pack_index,
    remove_abandoned,
    verify_pack,
)
from pyi_fs.store.storage import AppendFile, ReadFile, Storage
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage

TEXT = b"a line that is there more than once\n" * 40
NOISE = random.Random(1).randbytes(500)


def chunk_id(raw: bytes) -> ChunkId:
    return ChunkId(blake3(raw).digest())


def write_pack(storage: Storage, *chunks: bytes) -> PackId:
    writer = PackWriter(storage)
    for raw in chunks:
        writer.add(chunk_id(raw), raw)
    return writer.finish()


def overwrite(storage: Storage, path: str, data: bytes) -> None:
    storage.write_atomic(path, [data], durable=False)


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=12, unique=True))
def test_what_was_added_is_read(chunks: list[bytes]) -> None:
    storage = MemoryStorage()
    pack = write_pack(storage, *chunks)
    reader = PackReader(storage)
    entries = read_pack_index(storage, pack)
    assert [reader.read_entry(pack, entry) for entry in entries] == chunks
    assert verify_pack(storage, pack) == entries
    assert list(list_packs(storage)) == [pack]


def test_chunk_is_compressed_only_where_that_saves_a_twentieth() -> None:
    storage = MemoryStorage()
    text, noise = read_pack_index(storage, write_pack(storage, TEXT, NOISE))
    assert (text.method, noise.method) == (form.METHOD_ZSTD, form.METHOD_RAW)
    assert text.stored_length < len(TEXT) / 5
    assert noise.stored_length == len(NOISE)
    barely = random.Random(2).randbytes(5000) + bytes(200)
    assert read_pack_index(storage, write_pack(storage, barely))[0].method == form.METHOD_RAW


def test_same_chunks_make_the_same_pack() -> None:
    storage = MemoryStorage()
    assert write_pack(storage, TEXT, NOISE) == write_pack(storage, TEXT, NOISE)
    assert write_pack(storage, NOISE, TEXT) != write_pack(storage, TEXT, NOISE)
    assert len(list(list_packs(storage))) == 2


def test_name_is_the_hash_of_header_and_entries() -> None:
    storage = MemoryStorage()
    pack = write_pack(storage, TEXT, NOISE)
    data = storage.read(pack_path(pack))
    assert blake3(data[: read_pack_index(storage, pack)[-1].end]).digest() == pack
    assert pack_path(pack) == f"packs/{pack.hex()[:2]}/{pack.hex()}.pack"


def test_every_step_is_durable_before_the_next() -> None:
    storage = CrashingStorage(None)
    pack = write_pack(storage, TEXT)
    path = pack_path(pack)
    directory = path.rpartition("/")[0]
    assert [call for call, _ in storage.calls] == [
        *("make_directory", "sync_directory", "lock"),  # packs, the store, the temporary file
        *("append", "append", "append", "sync"),  # header, entry, index and footer
        *("make_directory", "sync_directory", "rename", "sync_directory"),
    ]
    assert [path for _, path in storage.calls[-4:-2]] == [directory, "packs"]
    assert storage.calls[-1] == ("sync_directory", directory)


def test_unfinished_pack_is_read_by_its_writer() -> None:
    writer = PackWriter(MemoryStorage())
    writer.add(chunk_id(TEXT), TEXT)
    writer.add(chunk_id(NOISE), NOISE)
    assert chunk_id(TEXT) in writer
    assert chunk_id(b"other") not in writer
    assert (writer.read(chunk_id(NOISE)), writer.read(chunk_id(TEXT))) == (NOISE, TEXT)


def test_abandoned_pack_leaves_nothing() -> None:
    storage = MemoryStorage()
    writer = PackWriter(storage)
    writer.abandon()
    assert storage.list("") == []
    writer = PackWriter(storage)
    writer.add(chunk_id(TEXT), TEXT)
    writer.abandon()
    assert storage.list("packs") == []


def test_writer_is_full_at_its_size_and_at_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "PACK_BYTES_TARGET", 1000)
    writer = PackWriter(MemoryStorage())
    fullness = []
    for raw in (NOISE, NOISE[1:]):
        writer.add(chunk_id(raw), raw)
        fullness.append(writer.is_full)
    assert fullness == [False, True]
    monkeypatch.setattr(form, "PACK_ENTRIES_MAX", 2)
    writer = PackWriter(MemoryStorage())
    fullness = []
    for raw in (b"1", b"2"):
        writer.add(chunk_id(raw), raw)
        fullness.append(writer.is_full)
    assert fullness == [False, True]


# --- damage --------------------------------------------------------------------------------------


def test_every_flipped_bit_is_noticed_and_never_read_as_data() -> None:
    storage = MemoryStorage()
    pack = write_pack(storage, TEXT, NOISE[:50])
    path = pack_path(pack)
    data = storage.read(path)
    entries = read_pack_index(storage, pack)
    for index in range(len(data)):
        for bit in range(8):
            bad = bytearray(data)
            bad[index] ^= 1 << bit
            overwrite(storage, path, bytes(bad))
            with pytest.raises(StoreError):
                verify_pack(storage, pack)
            hit = [entry for entry in entries if entry.offset <= index < entry.end]
            if not hit:
                continue
            try:
                found = PackReader(storage).read_entry(pack, hit[0])
            except CorruptPackError:
                continue
            # A bit that zstd ignores: what is read is still what was put, and verified.
            assert chunk_id(found) == hit[0].chunk


def test_every_cut_is_noticed() -> None:
    storage = MemoryStorage()
    pack = write_pack(storage, TEXT, NOISE[:50])
    path = pack_path(pack)
    data = storage.read(path)
    for length in range(len(data)):
        overwrite(storage, path, data[:length])
        with pytest.raises(CorruptPackError):
            read_pack_index(storage, pack)
        with pytest.raises(CorruptPackError):
            verify_pack(storage, pack)


def test_pack_under_the_name_of_another_is_noticed() -> None:
    storage = MemoryStorage()
    first, second = write_pack(storage, TEXT), write_pack(storage, NOISE)
    overwrite(storage, pack_path(first), storage.read(pack_path(second)))
    with pytest.raises(CorruptPackError):
        verify_pack(storage, first)


def test_frame_that_claims_another_size_is_not_decompressed() -> None:
    """The claim is compared before memory is given to it."""
    storage = MemoryStorage()
    pack = write_pack(storage, TEXT)
    [entry] = read_pack_index(storage, pack)
    other = write_pack(storage, TEXT + TEXT)
    data = storage.read(pack_path(other))
    [longer] = read_pack_index(storage, other)
    lying = longer._replace(chunk=entry.chunk, raw_length=entry.raw_length)
    overwrite(storage, pack_path(other), data[:16] + form.encode_entry_header(lying) + data[60:])
    with pytest.raises(CorruptPackError) as caught:
        PackReader(storage).read_entry(other, lying)
    assert (caught.value.expected, caught.value.found) == (len(TEXT), 2 * len(TEXT))


class _MisreadingStorage(MemoryStorage):
    """Reads back one wrong byte of the files it appends to."""

    def open_append(self, path: str, *, create: bool = False) -> AppendFile:
        file = super().open_append(path, create=create)
        read_at = file.read_at

        def misread(offset: int, length: int) -> bytes:
            data = bytearray(read_at(offset, length))
            if offset <= 100 < offset + len(data):
                data[100 - offset] ^= 1
            return bytes(data)

        file.read_at = misread  # type: ignore[method-assign]
        return file


def test_pack_that_reads_back_wrong_is_not_published() -> None:
    storage = _MisreadingStorage()
    writer = PackWriter(storage)
    writer.add(chunk_id(NOISE), NOISE)
    with pytest.raises(CorruptPackError):
        writer.finish()
    writer.abandon()
    assert list(list_packs(storage)) == []
    assert storage.list("packs") == []


# --- failures and crashes ------------------------------------------------------------------------


def scenario(storage: Storage) -> PackId:
    write_pack(storage, NOISE)
    return write_pack(storage, TEXT, NOISE)


def test_failure_of_any_call_leaves_whole_packs_only() -> None:
    counting = FailingStorage(None)
    scenario(counting)
    for number in range(len(counting.calls)):
        storage = FailingStorage(number)
        with pytest.raises(OSError, match="Input/output error"):
            scenario(storage)
        for pack in list_packs(storage):
            verify_pack(storage, pack)
        assert scenario(storage) in list_packs(storage)


@pytest.mark.crash
def test_crash_before_any_call_leaves_whole_packs_only() -> None:
    counting = CrashingStorage(None)
    last = scenario(counting)
    for number in range(len(counting.calls)):
        storage = CrashingStorage(number, seed=number)
        with pytest.raises(Crash):
            scenario(storage)
        killed = storage.after_kill()
        for found in (killed, *(storage.after_power_loss(seed) for seed in range(10))):
            for pack in list_packs(found):
                verify_pack(found, pack)
            remove_abandoned(found)
            assert not [name for name in found.list("packs") if name.endswith(".tmp")]
            assert scenario(found) == last


@pytest.mark.crash
def test_pack_is_durable_although_a_killed_process_left_its_directories_unsynced() -> None:
    """The directories are there, but a power loss would take them: they have to be synced again."""
    counting = CrashingStorage(None)
    pack = scenario(counting)
    for number in range(len(counting.calls)):
        storage = CrashingStorage(number, seed=number)
        with pytest.raises(Crash):
            scenario(storage)
        survivor = storage.after_kill()
        scenario(survivor)
        for seed in range(10):
            verify_pack(survivor.after_power_loss(seed), pack)


def test_only_temporary_files_of_dead_writers_are_removed(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    writer = PackWriter(storage)
    writer.add(chunk_id(TEXT), TEXT)
    storage.open_append("packs/dead.tmp", create=True).close()
    assert remove_abandoned(storage) == ["packs/dead.tmp"]
    pack = writer.finish()
    assert remove_abandoned(storage) == []
    assert storage.list("packs") == [pack.hex()[:2]]
    verify_pack(storage, pack)


def test_writer_looks_for_another_name_when_a_cleaner_took_its_own() -> None:
    storage = MemoryStorage()
    lock: Callable[..., object] = storage.lock
    stolen: list[str] = []

    def steal(path: str, **options: bool) -> object:
        held = lock(path, **options)
        if not stolen:
            stolen.append(path)
            storage.remove(path)
        return held

    storage.lock = steal  # type: ignore[assignment, method-assign]
    verify_pack(storage, write_pack(storage, TEXT))
    assert stolen


def test_names_that_are_no_packs_are_passed_over() -> None:
    storage = MemoryStorage()
    pack = write_pack(storage, TEXT)
    directory = f"packs/{pack.hex()[:2]}"
    for name in ("packs/x.tmp", "packs/notes", f"{directory}/{'0' * 64}", f"{directory}/zz.pack"):
        storage.open_append(name, create=True).close()
    other = "ff" if directory != "packs/ff" else "ee"
    storage.make_directory(f"packs/{other}")
    storage.open_append(f"packs/{other}/{'0' * 64}.pack", create=True).close()
    assert list(list_packs(storage)) == [pack]
    assert list(list_packs(MemoryStorage())) == []


# --- descriptors ---------------------------------------------------------------------------------


class _CountingStorage(MemoryStorage):
    """Counts the files that are open for reading."""

    open_files = 0
    opened = 0

    def open_read(self, path: str) -> ReadFile:
        file = super().open_read(path)
        close = file.close
        self.open_files += 1
        self.opened += 1

        def counted_close() -> None:
            self.open_files -= 1
            close()

        file.close = counted_close  # type: ignore[method-assign]
        return file


def test_open_packs_are_bounded_and_the_one_used_last_stays() -> None:
    storage = _CountingStorage()
    packs = [write_pack(storage, b"%d" % number) for number in range(10)]
    entries = {pack: read_pack_index(storage, pack)[0] for pack in packs}
    storage.opened = 0
    reader = PackReader(storage, open_packs_max=3)
    for number, pack in enumerate(packs):
        assert reader.read_entry(pack, entries[pack]) == b"%d" % number
        assert reader.read_entry(packs[0], entries[packs[0]]) == b"0"
        assert storage.open_files <= 3
    assert storage.opened == 10
    reader.close()
    assert storage.open_files == 0


def test_pack_with_a_bad_header_is_not_kept_open() -> None:
    storage = _CountingStorage()
    pack = write_pack(storage, TEXT)
    [entry] = read_pack_index(storage, pack)
    overwrite(storage, pack_path(pack), b"x" + storage.read(pack_path(pack))[1:])
    with pytest.raises(CorruptPackError):
        PackReader(storage).read_entry(pack, entry)
    assert storage.open_files == 0


def test_threads_share_a_reader(tmp_path: Path) -> None:
    """Four threads, two descriptors: nobody reads from one that another has closed."""
    storage = DirectoryStorage(tmp_path)
    packs = [write_pack(storage, b"%d" % number * 100) for number in range(6)]
    entries = {pack: read_pack_index(storage, pack)[0] for pack in packs}
    reader = PackReader(storage, open_packs_max=2)
    wrong: list[object] = []

    def read(seed: int) -> None:
        order = random.Random(seed)
        for _ in range(200):
            number = order.randrange(6)
            try:
                if reader.read_entry(packs[number], entries[packs[number]]) != b"%d" % number * 100:
                    wrong.append(number)
            except (OSError, CorruptPackError) as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.close()
    assert wrong == []
