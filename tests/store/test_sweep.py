"""Packs go when nothing in them is wanted, and are written anew when little is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId, PackId
from pyi_fs.store import sweep
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.packs import PackWriter, list_packs, pack_path, read_pack_index
from tests.support.engine_rig import noise


class Rig:
    """One process's chunks."""

    def __init__(self, path: Path) -> None:
        self.storage = DirectoryStorage(path)
        self.index = ChunkIndex(self.storage)
        self.chunks = ChunkStore(self.storage, self.index)

    def pack(self, *names: str) -> list[ChunkId]:
        """Puts chunks of 10,000 bytes into a pack of their own."""
        ids = self.chunks.put_many([noise(10_000, name) for name in names])
        self.chunks.flush()
        return ids

    def swept(self, live: set[ChunkId]) -> sweep.Swept:
        sweep.condemn(self.index, live)
        return sweep.execute(self.storage, self.index, sweep.plan(self.storage, self.index))

    def pack_bytes(self) -> int:
        packs = list_packs(self.storage)
        return sum(self.storage.allocated_bytes(pack_path(pack)) for pack in packs)


@contextmanager
def process(path: Path) -> Iterator[Rig]:
    rig = Rig(path)
    try:
        yield rig
    finally:
        rig.chunks.close()
        rig.index.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with process(tmp_path) as found:
        yield found
        # Whatever a test did: the index tells the truth about the packs.
        before = found.index.packs()
        assert found.chunks.reconcile() == (0, 0, ())
        assert found.index.packs() == before == set(list_packs(found.storage))


def test_a_pack_of_which_nothing_is_wanted_goes(rig: Rig) -> None:
    kept, gone = rig.pack("a", "b"), rig.pack("c")
    before = rig.pack_bytes()
    planned = sweep.plan(rig.storage, rig.index, set(kept))
    done = rig.swept(set(kept))
    assert (done.packs, done.skipped) == (1, ())
    assert planned.frees_bytes == done.freed_bytes == before - rig.pack_bytes()
    assert rig.index.known([*kept, *gone]) == set(kept)
    assert rig.chunks.get(kept[1]) == noise(10_000, "b")


def test_a_pack_of_which_little_is_wanted_is_written_anew(rig: Rig) -> None:
    one, two = rig.pack(*"abcd"), rig.pack(*"efgh")
    live = {one[0], two[3]}
    before = rig.pack_bytes()
    planned = sweep.plan(rig.storage, rig.index, live)
    assert len(planned.rewrite) == 2
    done = rig.swept(live)
    assert planned.frees_bytes == done.freed_bytes == before - rig.pack_bytes()
    assert len(list(list_packs(rig.storage))) == 1
    assert rig.index.known([*one, *two]) == live
    assert rig.chunks.get(two[3]) == noise(10_000, "h")


def test_a_pack_of_which_most_is_wanted_stays(rig: Rig) -> None:
    ids = rig.pack(*"abcd")
    assert rig.swept(set(ids[:3])).packs == 0
    assert rig.index.known(ids) == set(ids)


def test_who_deduplicates_onto_a_condemned_chunk_keeps_it(rig: Rig, tmp_path: Path) -> None:
    ids = rig.pack(*"abcd")
    sweep.condemn(rig.index, set())
    with process(tmp_path) as other:
        assert other.pack("a") == ids[:1]
    planned = sweep.plan(rig.storage, rig.index)
    done = sweep.execute(rig.storage, rig.index, planned)
    assert done.packs == 1
    assert rig.index.known(ids) == {ids[0]}
    assert rig.chunks.get(ids[0]) == noise(10_000, "a")


def test_what_comes_to_be_wanted_while_its_pack_is_rewritten_stays(rig: Rig) -> None:
    ids = rig.pack(*"abcd")
    sweep.condemn(rig.index, {ids[0]})
    planned = sweep.plan(rig.storage, rig.index)

    def claimed(_: sweep.PackStep) -> None:
        rig.index.claim([ids[2]])

    sweep.execute(rig.storage, rig.index, planned, claimed)
    assert rig.index.known(ids) >= {ids[0], ids[2]}
    assert rig.chunks.get(ids[2]) == noise(10_000, "c")
    # Between the copy and the removal: the pack stays, and nothing is lost.
    more = rig.pack(*"efgh")
    sweep.condemn(rig.index, {ids[0], ids[2], more[0]})
    move = sweep._move  # noqa: SLF001 - the moment in between

    def moved(*arguments: object) -> None:
        move(*arguments)  # type: ignore[arg-type]
        rig.index.claim([more[3]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_move", moved)
        done = sweep.execute(rig.storage, rig.index, sweep.plan(rig.storage, rig.index))
    assert [reason for _, reason in done.skipped] == ["more of it came to be wanted"]
    assert rig.chunks.get(more[3]) == noise(10_000, "h")


def test_a_reader_finds_a_chunk_that_moved(rig: Rig, tmp_path: Path) -> None:
    ids = rig.pack(*"abcd")
    with process(tmp_path) as reader:
        assert reader.chunks.get(ids[1]) == noise(10_000, "b")
        rig.swept({ids[0]})
        # Its pack is open still; for one that is not, the index is asked.
        assert reader.chunks.get(ids[0]) == noise(10_000, "a")
    with process(tmp_path) as reader:
        assert reader.chunks.get(ids[0]) == noise(10_000, "a")


def test_a_damaged_pack_is_left_alone(rig: Rig) -> None:
    ids = rig.pack(*"abcd")
    (pack,) = list_packs(rig.storage)
    path = Path(rig.storage.host_path(pack_path(pack)))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    done = rig.swept({ids[0]})
    assert done.packs == 0
    assert [found for found, _ in done.skipped] == [pack]
    assert path.exists()


def test_wanted_chunks_are_wished_back(rig: Rig) -> None:
    ids = rig.pack(*"abcd")
    assert sweep.condemn(rig.index, set()) == 1
    assert sweep.keep(rig.index, set(ids[:3])) == 3
    assert sweep.condemn(rig.index, set(ids[:3])) == 2
    assert sweep.keep(rig.index, set(ids)) == 1


def test_a_plan_prints_its_steps(rig: Rig) -> None:
    ids = rig.pack(*"abcd")
    rig.pack("e")
    planned = sweep.plan(rig.storage, rig.index, {ids[0]})
    assert str(planned.remove[0]).startswith("remove pack ")
    assert str(planned.rewrite[0]).endswith("10044 wanted")


def test_all_that_is_unwanted_goes_however_little_is_won(rig: Rig) -> None:
    """Of a pack mostly wanted; whole packs; and a second copy of what another pack has."""
    mostly = rig.pack("a", "b", "c")
    whole = rig.pack("d")
    rig.pack("e")
    writer = PackWriter(rig.storage)
    for chunk, name in ((mostly[0], "a"), (whole[0], "d")):
        writer.add(chunk, noise(10_000, name))
    pack = writer.finish()
    rig.index.add_pack(pack, list(writer.entries.values()))
    live = {*mostly[:2], *whole}
    sweep.condemn(rig.index, live)
    assert not sweep.plan(rig.storage, rig.index).rewrite
    planned = sweep.plan_all(rig.storage, rig.index)
    assert [len(steps) for steps in (planned.remove, planned.rewrite)] == [2, 1]
    before = rig.pack_bytes()
    done = sweep.execute(rig.storage, rig.index, planned)
    assert done.freed_bytes == planned.frees_bytes == before - rig.pack_bytes() > 0
    entries = [one.chunk for pack in list_packs(rig.storage) for one in _index(rig, pack)]
    assert sorted(entries) == sorted(live)
    assert sweep.plan_all(rig.storage, rig.index) == ((), (), 0)
    assert rig.chunks.get(mostly[1]) == noise(10_000, "b")


def _index(rig: Rig, pack: PackId) -> list[PackEntry]:
    return read_pack_index(rig.storage, pack)
