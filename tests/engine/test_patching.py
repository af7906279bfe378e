"""A patch is the bytes that it is for, and its bounds hold."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.engine.patching import EarlierVersion, Patch
from pyi_fs.engine.seal_regions import earlier_version
from pyi_fs.engine.store import Store
from pyi_fs.ids import ROOT_INODE, ChunkId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode
from pyi_fs.store.chunker import chunks
from pyi_fs.store.chunks import part_of
from tests.support.engine_rig import noise, opened

OLD = noise(300_000, "old")


def version(store: Store, parts: list[Extent], size: int) -> EarlierVersion:
    inode = Inode(0o100644, 1, 0, 0, size, 0, 0, 0, 0, ROOT_INODE, b"f", extent.from_extents(parts))
    found = earlier_version(store, inode, {})
    assert found is not None
    return found


def stored(store: Store, data: bytes) -> list[Extent]:
    """Returns the extents of a file that is in chunks, cut as all are."""
    found: list[Extent] = []
    for chunk in chunks([data]):
        start = found[-1].end if found else 0
        found.append(Extent(start, len(chunk), extent.CHUNK, store.chunks.put(chunk), 0))
    return found


def bytes_of(store: Store, patch: Patch) -> bytes:
    def parts(pieces: tuple[Extent, ...]) -> bytes:
        return b"".join(part_of(store.chunks.get(piece.chunk), piece) for piece in pieces)

    return parts(patch.before) + patch.new + parts(patch.after)


@pytest.mark.parametrize(
    ("data", "new"),
    [
        (b"0123456789" + OLD[:100_000], 10),
        (OLD[:100_000] + b"0123456789", 10),
        (OLD[:40_000] + b"insert" + OLD[40_000:100_000], 6),
        (OLD[:40_000] + OLD[40_500:100_000], 0),
        (OLD[:40_000] + noise(500, "replaced") + OLD[40_500:100_000], 500),
        (OLD[:100_000], 0),
    ],
    ids=["before", "behind", "inserted", "removed", "replaced", "equal"],
)
def test_of_a_small_change_little_is_new(tmp_path: Path, data: bytes, new: int) -> None:
    with opened(tmp_path / "store") as store:
        earlier = version(store, stored(store, OLD), len(OLD))
        patch = earlier.patch(data, 0, 100_000)
        assert patch is not None
        assert bytes_of(store, patch) == data
        # Where bytes are equal by chance, one less is new.
        assert new - 2 <= len(patch.new) <= new


def test_one_known_end_is_enough(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        earlier = version(store, stored(store, OLD), len(OLD))
        for data, start, end in (
            (OLD[50_000:250_000] + b"end", 50_000, None),
            (b"begin" + OLD[50_000:250_000], None, 250_000),
        ):
            patch = earlier.patch(data, start, end)
            assert patch is not None
            assert bytes_of(store, patch) == data
            assert len(patch.new) <= 5
        assert earlier.patch(OLD[50_000:250_000], None, None) is None


def test_little_in_common_is_no_patch(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        earlier = version(store, stored(store, OLD), len(OLD))
        least = limits.PATCHED_BYTES_MIN
        assert earlier.patch(OLD[: least - 1], 0, None) is None
        assert earlier.patch(noise(100_000), 0, 100_000) is None
        # Three quarters are old, or less.
        assert earlier.patch(OLD[:75_000] + noise(25_000), 0, None) is not None
        assert earlier.patch(OLD[:74_000] + noise(26_000), 0, None) is None


def test_a_small_part_of_a_chunk_is_not_named(tmp_path: Path) -> None:
    """The whole of it would be kept for that."""
    with opened(tmp_path / "store") as store:
        chunk = store.chunks.put(noise(200_000))
        parts = [Extent(0, 60_000, extent.CHUNK, chunk, 1_000)]
        assert version(store, parts, 60_000).patch(noise(200_000)[1_000:61_000], 0, 60_000) is None


def test_pieces_are_bounded(tmp_path: Path) -> None:
    """A version that is itself made of patches: beyond the bound there is a chunk again."""
    with opened(tmp_path / "store") as store:
        for count, is_patch in ((limits.PATCH_PIECES_MAX, True), (9, False)):
            parts: list[Extent] = []
            for index in range(count):
                chunk = store.chunks.put(noise(10_000, f"{index}"))
                parts.append(Extent(10_000 * index, 10_000, extent.CHUNK, chunk, 0))
            data = b"".join(noise(10_000, f"{index}") for index in range(count))
            patch = version(store, parts, len(data)).patch(data, 0, len(data))
            assert (patch is not None) == is_patch


def test_what_cannot_be_read_is_no_patch(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        parts = [Extent(0, 60_000, extent.CHUNK, ChunkId(bytes(32)), 0)]
        assert version(store, parts, 60_000).patch(noise(60_000), 0, 60_000) is None


def test_holes_and_bytes_in_scratch_end_what_is_compared(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        one, two = noise(60_000, "one"), noise(60_000, "two")
        first = Extent(0, 60_000, extent.CHUNK, store.chunks.put(one), 0)
        between = Extent(60_000, 5_000, extent.SCRATCH, bytes(32), 0)
        last = Extent(65_000, 60_000, extent.CHUNK, store.chunks.put(two), 0)
        for parts in ([first, last], [first, between, last]):
            earlier = version(store, parts, 125_000)
            # Side by side in the new version, and not in the old one.
            for data in (one + two, one + bytes(5_000) + two):
                for start, end in ((0, 125_000), (0, None), (None, 125_000)):
                    patch = earlier.patch(data, start, end)
                    assert patch is None or bytes_of(store, patch) == data


changes = st.lists(
    st.tuples(st.integers(0, 100_000), st.integers(0, 3_000), st.integers(0, 3_000)), max_size=3
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes, st.none() | st.integers(0, 4_000), st.none() | st.integers(90_000, 120_000))
def test_any_patch_is_the_bytes_it_is_for(
    tmp_path: Path, steps: list[tuple[int, int, int]], start: int | None, end: int | None
) -> None:
    with opened(tmp_path / "store") as store:
        earlier = version(store, stored(store, OLD[:110_000]), 110_000)
        data = OLD[:100_000]
        for index, (place, removed, added) in enumerate(steps):
            data = data[:place] + noise(added, f"{index}") + data[place + removed :]
        patch = earlier.patch(data, start, end)
        if patch is not None:
            assert bytes_of(store, patch) == data
            assert len(patch.new) <= limits.PATCH_SHARE_MAX * len(data)
            assert len(patch.before) + len(patch.after) <= limits.PATCH_PIECES_MAX
