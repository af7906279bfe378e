"""Bytes on their way out: whole blocks first, the same file however they are taken."""

from array import array

from xxhash import xxh3_64_intdigest

from pyi_fs.format.table import BLOCK_BYTES, SLOT_BYTES, Table, header_bytes
from pyi_fs.format.table_parts import PART_BYTES, Output, Sections, finished


def sections(salt: int, entries_offset: int) -> Sections:
    """Returns those of a table without an inode."""
    numbers, places = array("I"), array("Q")
    nothing = (numbers, places, numbers, places, places, places, numbers)
    return Sections(salt, entries_offset, *nothing)


def test_parts_are_whole_blocks_and_no_longer_than_a_mebibyte() -> None:
    output = Output()
    output.pending += bytes(3 * PART_BYTES + BLOCK_BYTES + 5)
    parts = list(output.parts())
    assert [len(part) for part in parts] == [PART_BYTES] * 3 + [BLOCK_BYTES]
    assert (len(output.pending), output.taken_bytes) == (5, 3 * PART_BYTES + BLOCK_BYTES)
    assert list(output.parts(6)) == []


def test_an_offset_is_a_multiple_of_a_slot() -> None:
    output = Output()
    output.pending += b"x" * 13
    assert output.align() == 2 * SLOT_BYTES
    assert output.write(array("I", [1])) == 3 * SLOT_BYTES
    assert output.take() == b""


def test_the_salt_depends_on_every_byte_and_not_on_how_they_are_taken() -> None:
    salts = set()
    for changed in (0, BLOCK_BYTES, 2 * BLOCK_BYTES + 7):
        data = bytearray(2 * BLOCK_BYTES + 8)
        data[changed] = 1
        at_once, singly = Output(), Output()
        at_once.pending += data
        for byte in data:
            singly.pending.append(byte)
            singly.take()
        list(at_once.parts())
        assert at_once.salt() == singly.salt()
        salts.add(at_once.salt())
    assert len(salts) == 3


def test_the_end_of_a_file_makes_a_table_of_nothing() -> None:
    output = Output()
    output.pending += header_bytes()
    data = b"".join(finished(output, sections(output.salt(), output.align())))
    table = Table(data)
    table.verify()
    assert (table.inode_count, table.dentry_count, list(table.numbers())) == (0, 0, [])
    footer_check = int.from_bytes(data[-SLOT_BYTES:], "little")
    assert footer_check == xxh3_64_intdigest(data[-112:-SLOT_BYTES])
