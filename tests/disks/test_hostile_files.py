"""Every other file of a store, forged with right checksums: an error of ours, never anything else.

Base tables, tree objects, packs, seal maps, runs, pins and notes; the index is in
`test_hostile_index.py`. Then all of the store is asked for (`tests/support/judging.py`), in bounded
time and memory.
"""

import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptSegmentError, CorruptTreeObjectError, PyiError
from pyi_fs.format import pack as form
from pyi_fs.format.table import ENTRY, HEAD, Footer, Table
from pyi_fs.format.table_writer import encode_table
from pyi_fs.format.treeobject import decode_tree_object
from pyi_fs.ids import ROOT_INODE, ChunkId, TreeObjectId
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import with_fields
from pyi_fs.model.mutation import Graft
from pyi_fs.store import layout
from tests.support.damage import build
from tests.support.engine_rig import opened, put, written
from tests.support.hostile import inodes, numbers
from tests.support.judging import SETTINGS, bounded, fresh_copy, judged
from tests.support.tables import footer_of, resigned

pytestmark = [pytest.mark.slow]
WORKSPACES = ("a", "fork")
TERABYTE = 1 << 40
words = st.sampled_from([0, 1, 7, 60, 2**14, 2**31, 2**32 - 1])
long_words = st.sampled_from([0, 1, 8, 100, 2**32, TERABYTE, 2**63, 2**64 - 1])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all there can be, whose newest layer stands on a base table alone."""
    path = tmp_path_factory.mktemp("forged") / "store"
    build(path)
    return path


@pytest.fixture(scope="module")
def based(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose only branch reads everything from a base table."""
    path = tmp_path_factory.mktemp("based") / "store"
    with opened(path) as store, written(store, "a") as (_, branch):
        for name in (b"d/e/file", b"d/other", b"top"):
            put(branch, name, b"content of " + name)
        branch.roll()
        branch.sync()
        base = b"".join(encode_table(branch.tree))
        store.storage.write_atomic(layout.base(branch.position.layer), [base])
        put(branch, b"new", b"over it")
    return path


def only(store: Path, pattern: str) -> Path:
    return max(store.glob(pattern), key=lambda file: file.stat().st_size)


# Base tables.


@given(st.data())
@SETTINGS
def test_a_table_of_any_bytes(based: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Words of records, entries, indexes and footer are others; every checksum is right."""
    store = fresh_copy(based, tmp_path / "copy")
    base = only(store, "layers/*/*/base")
    table = bytearray(base.read_bytes())
    end = footer_of(bytes(table)).checksums_offset
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, end // 4 - 1)) * 4
        table[place : place + 4] = data.draw(words).to_bytes(4, "little")
    for _ in range(data.draw(st.integers(0, 3))):
        table[data.draw(st.integers(16, end - 1))] = data.draw(st.integers(0, 255))
    base.write_bytes(resigned(bytes(table)))
    judged(store, WORKSPACES)


@given(st.sampled_from(Footer._fields[1:-1]), long_words)
@SETTINGS
def test_a_table_with_any_footer(based: Path, tmp_path: Path, field: str, value: int) -> None:
    store = fresh_copy(based, tmp_path / "copy")
    base = only(store, "layers/*/*/base")
    if field != "checksums_offset":
        base.write_bytes(resigned(base.read_bytes(), **{field: value}))
        judged(store, WORKSPACES)


@given(st.lists(st.tuples(numbers, inodes()), min_size=1, max_size=3))
@SETTINGS
def test_a_table_of_any_records(based: Path, tmp_path: Path, hostile: list[Any]) -> None:
    """Whole records, their dentries with them: circles, islands, directories in two places."""
    store = fresh_copy(based, tmp_path / "copy")
    base = only(store, "layers/*/*/base")
    with opened(store) as found, written(found, "a") as (_, branch):
        try:
            tree = apply(branch.tree, Graft(tuple(hostile), ()))
            forged = b"".join(encode_table(tree))
        except (PyiError, OverflowError, AssertionError, struct.error, ValueError, KeyError):
            return  # The writer is for sound trees: it may refuse others in any way.
    base.write_bytes(forged)
    judged(store, WORKSPACES)


@pytest.mark.parametrize("child", [b"d", b"e"])
def test_a_table_with_a_directory_below_itself(based: Path, tmp_path: Path, child: bytes) -> None:
    """`d/e` is `d`, or itself: up and down have no end."""
    store = fresh_copy(based, tmp_path / "copy")
    base = only(store, "layers/*/*/base")
    table = Table(base.read_bytes())
    directory = table.lookup(ROOT_INODE, b"d")
    assert directory is not None
    below = table.lookup(directory, b"e")
    assert below is not None
    target = directory if child == b"d" else below
    old, new = (ENTRY.pack(directory, number, 1) + b"e" for number in (below, target))
    records = {number: table.inode(number) for number in table.numbers()}
    up = records[directory]
    assert up is not None
    packed = [msgspec.msgpack.encode(with_fields(up, parent=number)) for number in (1, below)]
    was, now = (HEAD.pack(directory, len(record)) + record for record in packed)
    forged = base.read_bytes().replace(old, new).replace(was, now)
    assert forged != base.read_bytes()
    base.write_bytes(resigned(forged))
    judged(store, WORKSPACES)


# Tree objects.

things = st.recursive(
    st.one_of(
        st.none(),
        st.integers(-(2**63), 2**64 - 1),
        st.sampled_from(
            [b"", b"a", b"..", b"a/b", bytes(32), b"n" * 300, "pyi-tree", 0o100644, -1]
        ),
    ),
    lambda below: st.lists(below, max_size=4),
    max_leaves=12,
)
entries = st.tuples(
    st.sampled_from([b"a", b"b", b"", b"..", b"x/y", b"n" * 300]),
    st.sampled_from([0o100644, 0o40755, 0o120777, 0o60600, 0, -1, 2**40]),
    st.sampled_from([[], [[b"user.a", b"v"]], 5]),
    st.one_of(things, st.sampled_from([[0, []], [5, [[bytes(32), 5]]], [2**63, [[None, -1]]]])),
)


@given(st.one_of(things, st.tuples(st.just("pyi-tree"), st.just(1), st.lists(entries, max_size=3))))
@example("pyi-tree")
def test_a_tree_object_of_anything(content: object) -> None:
    """What decodes has names and types; all else is damage of that object."""
    data = msgspec.msgpack.encode(content)
    try:
        found = decode_tree_object(data, TreeObjectId(blake3(data).digest()))
    except CorruptTreeObjectError:
        return
    assert all(entry.name not in (b"", b".", b"..") and b"/" not in entry.name for entry in found)


def test_a_tree_object_of_towers_and_giants() -> None:
    for data in (
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x93\xa8pyi-tree\x01\xdd\xff\xff\xff\xff",
    ):
        with bounded(), pytest.raises(CorruptTreeObjectError):
            decode_tree_object(data, TreeObjectId(bytes(32)))


# Packs.


def pack_of(entries_: list[tuple[bytes, int, int, int, bytes]]) -> bytes:
    """Returns a pack of entries (chunk, shift of the offset, raw length, method, bytes)."""
    body, index = form.encode_header(), b""
    for chunk, shift, raw_length, method, stored in entries_:
        index += struct.pack(
            "<32sQIIB7s", chunk, len(body) + shift, raw_length, len(stored), method, bytes(7)
        )
        body += struct.pack("<32sIIB3s", chunk, raw_length, len(stored), method, bytes(3)) + stored
    return body + index + form.encode_footer(len(body), index)


def placed(store: Path, data: bytes, content_bytes: int) -> Path:
    name = blake3(data[:content_bytes]).hexdigest()
    (store / "packs" / name[:2]).mkdir(mode=0o700, exist_ok=True)
    path = store / "packs" / name[:2] / f"{name}.pack"
    path.write_bytes(data)
    return path


bomb = zstandard.ZstdCompressor(level=19).compress(bytes(64 << 20))
giant = zstandard.ZstdCompressor().compressobj(size=TERABYTE)
GIANT_FRAME = giant.compress(b"x" * 100_000) + giant.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
known = blake3(b"known").digest()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([known, bytes(32), b"\xff" * 32]),
            st.sampled_from([0, 0, 0, 1, 2**40]),
            st.sampled_from([5, 0, 64 << 20, (64 << 20) + 1, 2**32 - 1]),
            st.sampled_from([0, 1, 2, 255]),
            st.sampled_from([b"known", b"", bomb, GIANT_FRAME, b"\x28\xb5\x2f\xfd" + bytes(20)]),
        ),
        min_size=1,
        max_size=3,
    )
)
@SETTINGS
def test_a_pack_of_any_entries(template: Path, tmp_path: Path, hostile: list[Any]) -> None:
    """Bombs and giants among them: what an entry claims is asked before it is believed."""
    store = fresh_copy(template, tmp_path / "copy")
    data = pack_of(hostile)
    placed(store, data, len(data) - form.FOOTER_BYTES - len(hostile) * form.INDEX_RECORD_BYTES)
    judged(store, WORKSPACES)
    with opened(store) as found, bounded():
        for chunk in {entry[0] for entry in hostile}:
            try:
                assert blake3(found.chunks.get(ChunkId(chunk))).digest() == chunk
            except PyiError:
                continue


@given(st.binary(max_size=80), st.integers(0, 200))
@SETTINGS
def test_a_pack_with_any_end(template: Path, tmp_path: Path, end: bytes, cut: int) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    pack = only(store, "packs/*/*.pack")
    data = pack.read_bytes()
    pack.write_bytes(data[: len(data) - cut] + end)
    judged(store, WORKSPACES)


# Seal maps, runs, pins, notes.


def checked(body: bytes) -> bytes:
    return body + struct.pack("<Q", xxh3_64_intdigest(body))


map_entries = st.builds(
    lambda at, length, kind, source, offset: struct.pack(
        "<QII32sQ", at, length, kind, source, offset
    ),
    st.sampled_from([0, 0, 1, 100, TERABYTE, 2**63, 2**64 - 1]),
    words,
    st.sampled_from([1, 2, 2, 2, 0, 2**32 - 1]),
    st.sampled_from([known, bytes(32)]),
    st.sampled_from([0, 0, 1, TERABYTE, 2**64 - 1]),
)


@given(st.lists(map_entries, max_size=4), st.binary(max_size=9))
@SETTINGS
def test_a_seal_map_of_anything(
    template: Path, tmp_path: Path, entries_: list[bytes], rest: bytes
) -> None:
    """Gaps, overlaps, pieces past the end of their chunk: never a byte of something else."""
    store = fresh_copy(template, tmp_path / "copy")
    for path in store.glob("layers/*/*/map-*"):
        path.write_bytes(checked(b"".join(entries_) + rest))
    judged(store, WORKSPACES)


def test_a_piece_past_the_end_of_its_chunk_is_no_shorter_file(
    template: Path, tmp_path: Path
) -> None:
    """The bytes behind it would all move to the front."""
    store = fresh_copy(template, tmp_path / "copy")
    changed = 0
    for path in store.glob("layers/*/*/map-*"):
        body = bytearray(path.read_bytes()[:-8])
        for at in range(0, len(body), 56):
            struct.pack_into("<Q", body, at + 48, 1 << 30)
            changed += 1
        path.write_bytes(checked(bytes(body)))
    assert changed
    judged(store, WORKSPACES)
    with opened(store) as found, written(found, "a") as (workspace, _):
        tree = workspace.snapshot_tree(workspace.find_snapshot("start"))
        with pytest.raises(PyiError, match="an extent of"):
            workspace.reader.read_all(tree.existing(tree.resolve(b"d/sealed")))


run_entries = st.builds(
    lambda at, length, zero, check: struct.pack("<QIIQ", at, length, zero, check),
    long_words,
    words,
    words,
    long_words,
)


@given(st.lists(run_entries, max_size=4))
@SETTINGS
def test_a_table_of_runs_of_anything(template: Path, tmp_path: Path, entries_: list[bytes]) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    for segment in store.glob("layers/*/*/scratch-*"):
        segment.with_name(segment.name.replace("scratch", "runs")).write_bytes(
            checked(b"".join(entries_))
        )
    judged(store, WORKSPACES)


@given(
    st.sampled_from(
        ["pins", "synced", "noted", "scratch-999999", "map-9" + "9" * 30, "runs-\u0663"]
    ),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"a 99999999999999999999\n", b"a\n", b"a -5\n", b"../.. 60\n", b"\xff \xff\n"]
        ),
        long_words.map(lambda end: struct.pack("<QQ", end, 0)),
    ),
)
@example("pins", b"\0")
@SETTINGS
def test_small_files_of_a_layer_with_anything(
    template: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    for journal in store.glob("layers/*/*/journal"):
        journal.with_name(name).write_bytes(content)
    judged(store, WORKSPACES)


@given(st.sampled_from([0, 40, TERABYTE, 2**63, 2**64 - 1]))
@SETTINGS
def test_a_valid_note_of_any_end(template: Path, tmp_path: Path, end: int) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    for journal in store.glob("layers/*/*/journal"):
        seed = int(journal.parent.name, 16) << 20
        check = xxh3_64_intdigest(end.to_bytes(8, "little"), seed)
        journal.with_name("synced").write_bytes(struct.pack("<QQ", end, check))
    judged(store, WORKSPACES)


# Others.


@given(st.binary(max_size=200))
@SETTINGS
def test_files_of_the_store_with_anything(template: Path, tmp_path: Path, content: bytes) -> None:
    for name in ("format", "index.sqlite", "workspaces/a/log", "workspaces/a/locks/main"):
        store = fresh_copy(template, tmp_path / "copy")
        (store / name).write_bytes(content)
        judged(store, WORKSPACES)


def test_a_base_that_is_mostly_a_hole(based: Path, tmp_path: Path) -> None:
    """Megabytes of nothing where the footer should be: mapped, and not read."""
    store = fresh_copy(based, tmp_path / "copy")
    with only(store, "layers/*/*/base").open("r+b") as file:
        file.truncate(1 << 27)
    judged(store, WORKSPACES)


def test_a_lost_segment_below_a_base_is_an_error_and_no_circle(based: Path, tmp_path: Path) -> None:
    """The reader looked whether the record had changed meanwhile, and a table made it anew."""
    store = fresh_copy(based, tmp_path / "copy")
    for segment in store.glob("layers/*/*/scratch-*"):
        segment.unlink()
    with bounded(), opened(store) as found, written(found, "a") as (_, branch):
        number = branch.tree.resolve(b"top")
        with pytest.raises(CorruptSegmentError):
            branch.read(number, 0, 100)
