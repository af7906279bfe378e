"""Runs: every byte is covered by the checksum of its append, and by no other."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptSegmentError
from pyi_fs.limits import RUN_BYTES_MAX
from pyi_fs.store import runs
from pyi_fs.store.runs import RunTable, check_run, checksums_of

lengths = st.lists(st.integers(1, 3 * RUN_BYTES_MAX), max_size=6)


def table_of(appends: list[int]) -> RunTable:
    table, offset = RunTable(), 0
    for length in appends:
        table.append(offset, length, checksums_of(bytes(length)))
        offset += length
    return table


def test_a_long_append_is_several_runs() -> None:
    data = bytes(range(256)) * 800
    sums = checksums_of(data)
    pieces = [data[i : i + RUN_BYTES_MAX] for i in range(0, len(data), RUN_BYTES_MAX)]
    assert len(pieces) == 4
    assert sums == b"".join(xxh3_64_intdigest(p).to_bytes(8, "little") for p in pieces)
    assert checksums_of(memoryview(data)) == sums
    assert checksums_of(b"") == xxh3_64_intdigest(b"").to_bytes(8, "little")


@given(lengths, st.data())
def test_runs_that_cover_a_range_are_whole_appends(appends: list[int], data: st.DataObject) -> None:
    table, total = table_of(appends), sum(appends)
    assert table.end == total
    start = data.draw(st.integers(0, total))
    end = data.draw(st.integers(start, total))
    found = table.covering(start, end)
    if start in (end, total):
        return
    assert found is not None
    assert found[0][0] <= start < found[0][0] + found[0][1]
    assert found[-1][0] < end <= found[-1][0] + found[-1][1]
    assert all(a + length == b for (a, length, _), (b, _, _) in pairwise(found))
    assert all(length <= RUN_BYTES_MAX for _, length, _ in found)
    assert all(checksum == xxh3_64_intdigest(bytes(length)) for _, length, checksum in found)


def test_a_byte_in_no_run_is_not_covered() -> None:
    table = RunTable()
    assert table.covering(0, 1) is None
    table.append(10, 5, checksums_of(b"12345"))
    table.append(20, 5, checksums_of(b"12345"))
    assert table.covering(9, 11) is None
    assert table.covering(12, 21) is None
    assert table.covering(24, 26) is None
    assert table.covering(15, 16) is None
    assert [run[:2] for run in table.covering(12, 14) or ()] == [(10, 5)]


def test_an_append_seen_again_is_ignored() -> None:
    """A journal is read from its beginning each time."""
    table = table_of([5, 6])
    table.append(0, 5, checksums_of(b"other"))
    table.append(5, 6, checksums_of(b"others"))
    assert len(table) == 2
    assert table.encode() == table_of([5, 6]).encode()


@given(lengths, st.data())
def test_whole_runs_of_a_range_are_those_inside(appends: list[int], data: st.DataObject) -> None:
    table, total = table_of(appends), sum(appends)
    start = data.draw(st.integers(0, total))
    end = data.draw(st.integers(start, total))
    low, high = table.whole(start, end)
    inside = [
        (a, a + n) for a, n, _ in table.covering(0, total) or () if start <= a and a + n <= end
    ]
    assert (low, high) == (inside[0][0], inside[-1][1]) if inside else low >= high


@given(lengths)
def test_a_file_of_runs_is_read_as_written(appends: list[int]) -> None:
    table = table_of(appends)
    read = runs.decode(table.encode(), "runs-1")
    assert read.encode() == table.encode()
    assert len(read) == len(table)


@given(st.data())
def test_every_flipped_bit_of_a_file_is_noticed(data: st.DataObject) -> None:
    whole = bytearray(table_of([5, 6]).encode())
    position = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[position // 8] ^= 1 << position % 8
    with pytest.raises(CorruptSegmentError, match="runs-1"):
        runs.decode(bytes(whole), "runs-1")


def test_every_cut_of_a_file_is_noticed() -> None:
    whole = table_of([5, 6]).encode()
    for cut in range(len(whole)):
        with pytest.raises(CorruptSegmentError):
            runs.decode(whole[:cut], "runs-1")


def test_a_run_is_its_bytes_and_no_others() -> None:
    checksum = xxh3_64_intdigest(b"12345")
    check_run("scratch-1", 0, 5, checksum, b"12345")
    for other in (b"12346", b"1234", b""):
        with pytest.raises(CorruptSegmentError, match="scratch-1"):
            check_run("scratch-1", 0, 5, checksum, other)
