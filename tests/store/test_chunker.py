"""Cut points: what they promise, that they never move, and that an edit changes few chunks."""

import random

import pytest
from blake3 import blake3
from fastcdc.fastcdc_py import fastcdc_py  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.format.pack import CUT_BYTES_AVERAGE, CUT_BYTES_MAX, CUT_BYTES_MIN
from pyi_fs.store.chunker import Chunker, chunks, cut_points


def content(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def hashes(data: bytes) -> list[bytes]:
    return [blake3(data[start:end]).digest() for start, end in cut_points(data)]


def test_cuts_are_where_they_always_were() -> None:
    """Golden: BLAKE3 in counter mode, so that no library's random numbers are part of the test."""
    data = blake3(b"pyi-fs").digest(length=1 << 20)
    assert [end for _, end in cut_points(data)] == [
        16837,
        68763,
        89747,
        151272,
        200607,
        296152,
        322157,
        415165,
        462646,
        505794,
        598930,
        646384,
        705857,
        843720,
        864324,
        924494,
        1048576,
    ]


def test_compiled_and_pure_code_cut_alike() -> None:
    """Where no wheel exists the package falls back to Python; both have to make the same chunks."""
    data = content(600_000)
    pure = fastcdc_py(data, CUT_BYTES_MIN, CUT_BYTES_AVERAGE, CUT_BYTES_MAX)
    assert [(chunk.offset, chunk.offset + chunk.length) for chunk in pure] == [*cut_points(data)]


def test_chunks_cover_the_content_and_keep_their_bounds() -> None:
    data = content(8 << 20) + bytes(1 << 20) + content(12345, 2)
    ranges = list(cut_points(data))
    assert [start for start, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == len(data)
    lengths = [end - start for start, end in ranges]
    assert all(CUT_BYTES_MIN < length <= CUT_BYTES_MAX for length in lengths[:-1])
    assert CUT_BYTES_MAX in lengths
    assert 0.5 < len(data) / len(lengths) / CUT_BYTES_AVERAGE < 2


@pytest.mark.parametrize("length", [1, 100, CUT_BYTES_MIN - 1, CUT_BYTES_MIN])
def test_small_content_is_one_chunk(length: int) -> None:
    assert list(cut_points(bytes(length))) == [(0, length)]
    assert list(chunks([bytes(length)])) == [bytes(length)]


def test_empty_content_has_no_chunk() -> None:
    assert list(cut_points(b"")) == []
    assert list(chunks([])) == []
    assert list(chunks([b"", b""])) == []


@given(st.lists(st.integers(0, 700_000), max_size=6), st.integers(0, 3))
def test_cuts_do_not_depend_on_how_the_content_arrives(lengths: list[int], seed: int) -> None:
    data = content(sum(lengths), seed)
    parts = []
    offset = 0
    for length in lengths:
        parts.append(memoryview(data)[offset : offset + length])
        offset += length
    assert list(chunks(parts)) == [data[start:end] for start, end in cut_points(data)]


def test_chunker_begins_anew_after_finish() -> None:
    chunker = Chunker()
    data = content(300_000)
    first = [*chunker.feed(data), *chunker.finish()]
    second = [*chunker.feed(data), *chunker.finish()]
    assert first == second
    assert b"".join(first) == data


def test_bytes_put_before_32_mebibytes_change_only_the_first_chunks() -> None:
    data = content(32 << 20)
    before, after = hashes(data), hashes(b"0123456789" + data)
    assert len(before) > 400
    assert len(set(after) - set(before)) <= 5
    assert after[-1] == before[-1]


def test_bytes_changed_in_the_middle_change_only_chunks_there() -> None:
    data = content(8 << 20)
    changed = data[: 4 << 20] + b"an insertion" + data[4 << 20 :]
    before, after = hashes(data), hashes(changed)
    assert 1 <= len(set(after) - set(before)) <= 5
    assert after[0] == before[0]
    assert after[-1] == before[-1]
