"""A merged table has the bytes of one written anew; damage in the older one is not copied."""

import pytest
from immutables import Map

from pyi_fs.errors import CorruptTableError
from pyi_fs.format.table import Table
from pyi_fs.format.table_merge import encode_tree
from pyi_fs.format.table_parts import PART_BYTES
from pyi_fs.format.table_writer import encode_table
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.tree import Names, Tree, over, root_only
from tests.support.tables import BIG, ROOT, large_tree, regular, small_table, written


def as_is(extents: ExtentList) -> ExtentList:
    return extents


def numbered(names: dict[bytes, int]) -> Names:
    return Map({name: InodeNumber(number) for name, number in names.items()})


def changed(
    table: Table, inodes: dict[int, Inode | None], names: dict[int, dict[bytes, int]]
) -> Tree:
    """Returns the tree over a table in which these records and names are others."""
    below = over(table)
    return Tree(
        table,
        Map({InodeNumber(n): one for n, one in inodes.items()}),
        Map({InodeNumber(n): numbered(one) for n, one in names.items()}),
        below.unlinked,
        InodeNumber(max(table.last_inode, *inodes, 0) if inodes else table.last_inode),
    )


def assert_same(tree: Tree) -> bytes:
    data = b"".join(encode_tree(tree, as_is))
    assert data == b"".join(encode_table(tree, as_is))
    return data


def test_nothing_changed() -> None:
    for data in (small_table(), written(large_tree().items())):
        assert assert_same(over(Table(data))) == data


def test_names_come_go_and_change_in_directories_old_and_new() -> None:
    table = Table(small_table())
    tree = changed(
        table,
        {
            1: with_fields(ROOT, nlink=4),
            3: regular(2, b"f\xff"),
            70_000: None,
            5: with_fields(ROOT, name=b"new"),
            6: regular(5, b"in it"),
        },
        {1: {b"g": 0, b"s": 0, b"new": 5}, 5: {b"in it": 6}},
    )
    merged = Table(assert_same(tree))
    assert list(merged.entries(ROOT_INODE)) == [(b"d", 2), (b"new", 5)]
    assert merged.lookup(InodeNumber(5), b"in it") == 6
    assert list(merged.unlinked_numbers()) == [9]


def test_a_directory_that_was_reaped_has_no_entries() -> None:
    """What hid its names went with it, and its number may be between others."""
    table = Table(small_table())
    tree = changed(table, {2: None, 3: regular(1, b"g"), 9: None}, {1: {b"d": 0}})
    merged = Table(assert_same(tree))
    assert list(merged.entries(InodeNumber(2))) == []
    assert [name for name, _ in merged.entries(ROOT_INODE)] == [b"g", b"s"]


def test_runs_longer_than_a_part_are_copied_in_parts() -> None:
    files = {1: ROOT, **{n: regular(1, b"%0200d" % n) for n in range(2, 8000)}}
    tree = changed(Table(written(files.items())), {4000: regular(1, b"%0200d" % 4000)}, {})
    assert_same(tree)
    parts = list(encode_tree(tree, as_is))
    assert sum(map(len, parts)) > 3 * PART_BYTES
    assert max(map(len, parts)) <= 2 * PART_BYTES


def test_scratch_is_translated_wherever_it_stands() -> None:
    """Also in a block behind the first, and where a chunk was before."""
    asked = []

    def sealed(extents: ExtentList) -> ExtentList:
        asked.append(extents)
        pieces = (one._replace(kind=extent.CHUNK, length=100) for one in extent.iterate(extents))
        return extent.from_extents(list(pieces))

    chunk = extent.pack(Extent(0, 4096, extent.CHUNK, b"c" * 32, 2))
    files = large_tree()
    for number in range(2, 6):
        files[number] = with_fields(files[number], extents=chunk, size=4096)
    big = extent.from_extents([*extent.iterate(chunk), *extent.iterate(files[BIG].extents)][:1])
    files[7] = with_fields(files[7], extents=big, size=4096)
    data = written(files.items())
    merged = b"".join(encode_tree(over(Table(data)), sealed))
    assert files[BIG].extents in asked
    assert chunk not in asked
    files[BIG] = with_fields(files[BIG], extents=sealed(files[BIG].extents))
    expected = {n: Table(merged).inode(InodeNumber(n)) for n in files}
    assert expected == files


def test_damage_is_not_copied() -> None:
    """It would get a right checksum."""
    data = bytearray(written(large_tree().items()))
    data[len(data) // 3] ^= 1
    with pytest.raises(CorruptTableError):
        list(encode_tree(over(Table(bytes(data))), as_is))


def test_without_a_table_below_everything_is_written() -> None:
    tree = root_only(0o40755, 0, 0, 5)
    assert_same(tree)
