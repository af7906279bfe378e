"""`Table` gives the answers of the tree it was made from, or says that its bytes are damaged."""

import contextlib
import re
import stat
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import RequestError
from pyi_fs.format import table, table_writer
from pyi_fs.format.table import RECORDS_KEPT_MAX, Table
from pyi_fs.format.table_writer import encode_table
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, segment_id
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import (
    Create,
    Link,
    Mutation,
    Reap,
    Remove,
    Rename,
    SetAttributes,
    SetXattr,
    Write,
)
from pyi_fs.model.tree import Base, EmptyBase, Tree, on_base, over, root_only
from tests.support.tables import (
    BIG,
    ROOT,
    TIME,
    footer_of,
    large_tree,
    regular,
    small_table,
    written,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"


def assert_equal(table: Table, tree: Base) -> None:
    """Compares every answer."""
    numbers = sorted(tree.numbers())
    assert sorted(table.numbers()) == numbers
    assert table.inode_count == len(numbers)
    assert table.last_inode == max(numbers, default=0)
    assert sorted(table.unlinked_numbers()) == sorted(tree.unlinked_numbers())
    dentries = 0
    names = {b"absent", b"x" * 255, b"x" * 300}
    for number in numbers:
        inode = tree.inode(number)
        assert table.inode(number) == inode
        assert type(table.inode(number)) is type(inode)
        found = list(table.entries(number))
        assert found == sorted(tree.entries(number))
        dentries += len(found)
        names.update(name for name, _ in found)
    for number in numbers:
        for name in names:
            assert table.lookup(number, name) == tree.lookup(number, name)
    assert table.dentry_count == dentries
    strange = map(InodeNumber, {0, 2**32, 2**40 + 1, *(n + 1 for n in numbers)} - set(numbers))
    for number in strange:
        assert table.inode(number) is None
        assert table.lookup(number, b"a") is None
        assert list(table.entries(number)) == []


_names = st.sampled_from([b"a", b"b", b"\xff\xfe", b"n" * 255, b"\x01", b" "]) | st.binary(
    min_size=1, max_size=255
).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
_steps = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 50), st.integers(0, 50), _names, _names),
    max_size=40,
)


def random_change(tree: Tree, step: tuple[int, int, int, bytes, bytes], time_ns: int) -> Mutation:
    """Returns the mutation that a step means for a tree."""
    kind, a, b, name, other = step
    numbers = sorted(tree.numbers())
    first, second = numbers[a % len(numbers)], numbers[b % len(numbers)]
    # Now and then far away: numbers are sparse.
    fresh = InodeNumber(tree.last_inode + 1 + (b << 20 if a % 7 == 0 else 0))
    segment = segment_id(LayerId(3), 0)
    changes: list[Mutation] = [
        Create(first, name, fresh, stat.S_IFREG | 0o640, a, b, time_ns),
        Create(first, other, fresh, stat.S_IFREG | 0o640, a, b, time_ns),
        Create(first, name, fresh, stat.S_IFDIR | 0o755, a, b, time_ns),
        Create(second, name, fresh, stat.S_IFDIR | 0o755, a, b, time_ns),
        Create(first, name, fresh, stat.S_IFLNK | 0o777, a, b, time_ns, other),
        Link(second, first, name, time_ns),
        Rename(first, name, second, other, (a % 2) * 2, time_ns),
        Remove(first, name, bool(b % 2), time_ns),
        Write(first, a * 100, 77, segment, b * 1000, b"\0" * 8, time_ns),
        SetXattr(first, b"user." + name[:50], other, time_ns),
        SetAttributes(first, None, a, b, None, -5, None, time_ns),
        Reap(tuple(list(tree.unlinked_numbers())[:1])),
    ]
    return changes[kind]


def random_tree(steps: list[tuple[int, int, int, bytes, bytes]], tree: Tree) -> Tree:
    """Returns the tree after the steps that are possible."""
    for time_ns, step in enumerate(steps, TIME):
        with contextlib.suppress(RequestError):
            tree = apply(tree, random_change(tree, step, time_ns))
    return tree


@given(_steps, _steps)
def test_every_answer_is_that_of_the_tree(
    steps: list[tuple[int, int, int, bytes, bytes]], more: list[tuple[int, int, int, bytes, bytes]]
) -> None:
    """Random trees, encoded; then changed on top of their table, and encoded again."""
    tree = random_tree(steps, root_only(0o40755, 0, 0, TIME))
    table = Table(b"".join(encode_table(tree)))
    assert_equal(table, tree)
    changed = random_tree(more, over(table))
    assert_equal(Table(b"".join(encode_table(changed))), changed)
    same = random_tree(more, over(tree))
    assert_equal(Table(b"".join(encode_table(same))), on_base(same, table))


def test_an_empty_table_answers_that_nothing_is_there() -> None:
    """Indexes without a key still end their probes."""
    table = Table(b"".join(encode_table(EmptyBase())))
    assert_equal(table, EmptyBase())
    assert table.inode(ROOT_INODE) is None
    assert table.lookup(ROOT_INODE, b"") is None


def test_hard_links_and_unlinked_inodes() -> None:
    """All names of a file lead to it; an unlinked one is found only by number."""
    table = Table(small_table())
    assert table.lookup(InodeNumber(2), b"f\xff") == 3
    assert table.lookup(ROOT_INODE, b"g") == 3
    assert table.lookup(InodeNumber(2), b"gone") is None
    assert list(table.unlinked_numbers()) == [9]
    gone = table.inode(InodeNumber(9))
    assert gone is not None
    assert gone.name == b"gone"
    assert list(table.entries(ROOT_INODE)) == [(b"d", 2), (b"g", 3), (b"s", 70_000)]


def test_names_of_any_bytes_are_sorted_as_bytes() -> None:
    """Every byte that a name may have, prefixes of each other, the longest name."""
    names = [bytes([i]) for i in range(1, 256) if i not in b"./"]
    names += [b"a" * i for i in range(2, 256)] + [b"a\x01", b"a\xff", b"\xff" * 255]
    table = Table(written([(1, ROOT), *((i, regular(1, n)) for i, n in enumerate(names, 2))]))
    assert [name for name, _ in table.entries(ROOT_INODE)] == sorted(names)
    assert [table.lookup(ROOT_INODE, name) for name in names] == list(range(2, len(names) + 2))


def test_names_of_one_digest_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that says the same of every name: one run of slots, one tag, right answers."""

    def constant(data: bytes, seed: int | None = None) -> int:
        return xxh3_64_intdigest(data) if seed is None else 2**64 - 1

    monkeypatch.setattr(table, "xxh3_64_intdigest", constant)
    monkeypatch.setattr(table_writer, "xxh3_64_intdigest", constant)
    inodes = [(1, ROOT), (2, with_fields(ROOT, name=b"d"))]
    inodes += [(i, regular(1 + i % 2, b"%d" % (i // 2))) for i in range(3, 200)]
    collided = Table(written(inodes))
    for number, inode in inodes[1:]:
        assert collided.lookup(inode.parent, inode.name) == number
        assert collided.lookup(inode.parent, inode.name + b"x") is None
        assert collided.lookup(inode.parent, inode.name[:-1]) in (None, *range(200))
        assert collided.lookup(InodeNumber(7), inode.name) is None


def test_inode_numbers_of_one_tag_are_told_apart() -> None:
    """Numbers that differ only above the tag's 24 bits, up to the largest that is possible."""
    numbers = [1, *((k << 24) + 5 for k in range(256)), 2**32 - 1]
    inodes = [(1, ROOT), *((n, regular(1, b"%d" % n)) for n in numbers[1:])]
    table = Table(written(inodes))
    assert table.last_inode == 2**32 - 1
    for number, inode in inodes:
        assert table.inode(InodeNumber(number)) == inode
        assert table.inode(InodeNumber(number ^ 2)) is None


@pytest.mark.parametrize("stride", [1, 2, 7, 256, 4096, 65536, 75025, 987])
def test_no_usual_pattern_of_numbers_makes_long_probes(stride: int) -> None:
    """Runs, every n-th number, ranges of several branches: no run of used slots is long.

    987 and 75025 are Fibonacci numbers, the worst strides of this multiplier.
    """
    numbers = [1 + i * stride % (2**32 - 2) for i in range(3000)]
    numbers += [2**31 + 65536 * k + i for k in range(10) for i in range(100)]
    inodes = [(n, regular(1, b"", nlink=0)) for n in dict.fromkeys(numbers)]
    data = written(inodes)
    footer = footer_of(data)
    index = data[footer.inode_index_offset : footer.directory_index_offset]
    used = "".join("x" if slot else " " for (slot,) in struct.iter_unpack("<Q", index))
    assert max(map(len, used.split())) < 256


@pytest.mark.slow
def test_a_directory_of_200_000_entries() -> None:
    """Sorted, every name found, in a table of many blocks."""
    count = 200_000
    table = Table(written([(1, ROOT), *((i, regular(1, b"%x" % i)) for i in range(2, count + 2))]))
    entries = list(table.entries(ROOT_INODE))
    assert entries == sorted((b"%x" % i, i) for i in range(2, count + 2))
    for name, number in entries[::101]:
        assert table.lookup(ROOT_INODE, name) == number
    table.verify()


def test_a_record_larger_than_a_block() -> None:
    """Hundreds of extents in one record, among small ones."""
    inodes = large_tree()
    table = Table(written(inodes.items()))
    assert table.inode(BIG) == inodes[BIG]
    assert {number: table.inode(number) for number in table.numbers()} == inodes


def test_the_records_that_were_asked_for_last_are_kept() -> None:
    """Small ones, so many at most; of others each answer is another object."""
    inodes = large_tree()
    table = Table(written(inodes.items()))
    small = [InodeNumber(number) for number in inodes if number != BIG][:RECORDS_KEPT_MAX]
    first = [table.inode(number) for number in small]
    assert all(table.inode(number) is one for number, one in zip(small, first, strict=True))
    assert table.inode(BIG) == inodes[BIG]
    assert table.inode(BIG) is not table.inode(BIG)
    assert all(table.inode(number) is one for number, one in zip(small, first, strict=True))


def test_a_walk_leaves_little_in_memory() -> None:
    """Every record of 5,000 files is read; what stays is which blocks were checked, and a few."""
    table = Table(written(large_tree(5_000).items()))
    table.verify()
    tracemalloc.start()
    try:
        count = sum(table.inode(number) is not None for _, number in table.entries(ROOT_INODE))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert count == 5_001
    assert kept < 16_384 + 512 * RECORDS_KEPT_MAX


def test_the_document_s_example_is_what_is_written() -> None:
    """The hex example of the document is this table, byte for byte."""
    pages = [*DOCS.glob("on-disk-format.md"), *DOCS.glob("on-disk-format.d/table.md")]
    text = "\n".join(page.read_text() for page in pages)
    section = text[text.index("## Base table") :]
    example = section[section.index("```hex") : section.index("```", section.index("```hex") + 6)]
    lines = re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} )*[0-9a-f]{2})", example, re.M)
    data = bytes.fromhex(" ".join(lines))
    file = Inode(0o100644, 1, 1000, 1000, 0, 1, 2, 3, 4, ROOT_INODE, b"a")
    root = Inode(0o40755, 2, 0, 0, 0, 5, 6, 7, 8, ROOT_INODE, b"")
    assert written([(1, root), (2, file)]) == data
    table = Table(data)
    assert table.lookup(ROOT_INODE, b"a") == 2
    assert table.inode(InodeNumber(2)) == file
    assert table.inode(ROOT_INODE) == root
