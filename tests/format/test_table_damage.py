"""Damaged and forged tables: a reader gives the right answer or `CorruptTableError`."""

import struct
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise, product

import pytest
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptTableError, FormatTooNewError, FormatUnknownError
from pyi_fs.format.table import BLOCK_BYTES, HEADER, MAGIC, Table
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.tree import Base
from tests.support.tables import BIG, ROOT, footer_of, large_tree, resigned, small_table, written


def answers(base: Base, numbers: Iterable[int], names: Iterable[bytes]) -> list[object]:
    """Returns what a base says to every question, `CorruptTableError` for each that it refuses."""

    def ask(question: Callable[[], object]) -> object:
        try:
            return question()
        except CorruptTableError:
            return CorruptTableError

    found: list[object] = [
        ask(lambda: sorted(base.numbers())),
        ask(lambda: sorted(base.unlinked_numbers())),
    ]
    for number in map(InodeNumber, numbers):
        found.append(ask(partial(base.inode, number)))
        found.append(ask(partial(_entries, base, number)))
    questions = product((ROOT_INODE, InodeNumber(2)), names)
    found += [ask(partial(base.lookup, directory, name)) for directory, name in questions]
    return found


def _entries(base: Base, number: InodeNumber) -> list[tuple[bytes, InodeNumber]]:
    return sorted(base.entries(number))


def wrong(found: list[object], right: list[object]) -> list[object]:
    """Returns the answers that are neither right nor refused."""
    pairs = zip(found, right, strict=True)
    return [answer for answer, expected in pairs if answer not in (expected, CorruptTableError)]


def test_damage_anywhere_in_a_large_record_is_noticed() -> None:
    """One flipped byte in each of the blocks that hold the record."""
    inodes = large_tree()
    data = written(inodes.items())
    record = data.index(b"big") + 100
    for place in range(record, record + 3 * BLOCK_BYTES, 5000):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(CorruptTableError):
            Table(damaged).inode(BIG)


@pytest.mark.parametrize("flip", [0xFF, 0x01, 0x80])
def test_every_flipped_byte_is_noticed_or_harmless(flip: int) -> None:
    """Each byte of a small table in turn: every answer is the right one or an error."""
    data = small_table()
    numbers, names = (1, 2, 3, 4, 9, 70_000), (b"d", b"f\xff", b"g", b"gone", b"s", b"no")
    right = answers(Table(data), numbers, names)
    assert CorruptTableError not in right
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= flip
        try:
            table = Table(damaged)
        except CorruptTableError:
            continue
        found = answers(table, numbers, names)
        assert [
            a for a, b in zip(found, right, strict=True) if a not in (b, CorruptTableError)
        ] == []
        assert found != right, f"byte {place} is not covered by a checksum"


def test_flipped_bytes_in_a_table_of_many_blocks() -> None:
    """As above, with bytes spread over all sections; checking the whole file names the block."""
    inodes = large_tree()
    data = written(inodes.items())
    names = [inode.name for inode in inodes.values()]
    right = answers(Table(data), inodes, names)
    for place in range(0, len(data), 4099):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        try:
            table = Table(damaged, "layers/00/0000000001/base")
        except CorruptTableError:
            continue
        with pytest.raises(CorruptTableError, match="0000000001/base: wrong bytes") as raised:
            table.verify()
        end = footer_of(data).checksums_offset
        if place < end:
            assert raised.value.offset == place // BLOCK_BYTES * BLOCK_BYTES
        found = answers(table, inodes, names)
        assert [
            a for a, b in zip(found, right, strict=True) if a not in (b, CorruptTableError)
        ] == []


def test_what_crosses_into_a_damaged_block_is_refused() -> None:
    """The first byte of a block is flipped; what begins in the block before it is asked alone."""
    inodes = large_tree(1500)
    data = written(inodes.items())
    footer = footer_of(data)
    boundaries = range(BLOCK_BYTES, footer.inode_index_offset, BLOCK_BYTES)
    in_records, *_, in_entries = boundaries
    assert in_records < footer.entries_offset < in_entries - 300
    refused = 0
    for place, number in product((in_records, in_entries), inodes):
        damaged = bytearray(data)
        damaged[place] ^= 1
        name = inodes[number].name
        right = [inodes[number], number if name else None]
        questions: list[Callable[[Table], object]] = [
            partial(Table.inode, number=InodeNumber(number)),
            partial(Table.lookup, directory=ROOT_INODE, name=name),
        ]
        for question, expected in zip(questions, right, strict=True):
            try:
                assert question(Table(damaged)) == expected
            except CorruptTableError:
                refused += 1
    assert refused > 2


def test_damage_elsewhere_does_not_stop_a_reader() -> None:
    """Blocks are checked when touched: the first record reads although the last block is bad."""
    inodes = large_tree(2000)
    data = bytearray(written(inodes.items()))
    data[footer_of(bytes(data)).checksums_offset - 1] ^= 1
    table = Table(data)
    assert table.inode(ROOT_INODE) == ROOT
    with pytest.raises(CorruptTableError):
        table.verify()


def test_a_table_cut_short_is_corrupt() -> None:
    """Every shorter length, and one byte more."""
    data = small_table()
    for length in range(len(data)):
        with pytest.raises(CorruptTableError):
            Table(data[:length])
    with pytest.raises(CorruptTableError):
        Table(data + b"\0")


def test_other_formats_are_refused_by_name() -> None:
    """Neither magic: not a table. A later version: too new, whatever stands behind the header."""
    with pytest.raises(FormatUnknownError):
        Table(b"SQLite format 3\0" * 100)
    for version, error in ((2, FormatTooNewError), (0, FormatUnknownError)):
        start = HEADER.pack(MAGIC, version, 0)[:-4]
        header = start + struct.pack("<I", xxh3_64_intdigest(start) & 0xFFFFFFFF)
        with pytest.raises(error):
            Table(header + b"?" * 500)


@pytest.mark.parametrize(
    "changes",
    [
        {"inode_count": 2**40},
        {"dentry_count": 10_000},
        {"directory_count": 500},
        {"unlinked_count": 100},
        {"last_inode": 2**32},
        {"entries_offset": 8},
        {"inode_index_offset": 2**63},
        {"name_index_offset": 17},
        {"checksums_offset": 64},
        {"checksums_offset": 2**64 - 8},
    ],
)
def test_a_forged_footer_is_refused(changes: dict[str, int]) -> None:
    """Right checksums, impossible counts and offsets."""
    data = small_table()
    assert resigned(data) == data
    with pytest.raises(CorruptTableError):
        Table(resigned(data, **changes))


@pytest.mark.parametrize("value", [0, 1, 0xFF, 0xC1, 0x7F])
def test_forged_sections_end_in_an_error_or_an_answer(value: int) -> None:
    """Right checksums over nonsense, also indexes without an empty slot: nothing loops.

    An answer may be wrong here, that is what forging is; no other exception may come.
    """
    data = small_table()
    footer = footer_of(data)
    starts = [HEADER.size, *footer[6:12]]
    for start, end in pairwise(starts):
        forged = data[:start] + bytes([value]) * (end - start) + data[end:]
        answers(Table(resigned(forged)), (1, 2, 3, 9, 70_000), (b"d", b"s", b"no"))
    for place in range(16, footer.checksums_offset):
        forged = data[:place] + bytes([value]) + data[place + 1 :]
        answers(Table(resigned(forged)), (1, 2, 70_000), (b"d", b"no"))
