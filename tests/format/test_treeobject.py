"""Tree objects: what goes in comes out, and nothing else is taken for one."""

import stat

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import CorruptTreeObjectError
from pyi_fs.format.treeobject import FileContent, TreeEntry, decode_tree_object, encode_tree_object
from pyi_fs.ids import ChunkId, TreeObjectId
from tests.format.test_document_examples import example

ANY_ID = TreeObjectId(bytes(32))
names = st.binary(min_size=1, max_size=8).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)
ids = st.binary(min_size=32, max_size=32)


@st.composite
def entries(draw):
    name = draw(names)
    kind = draw(
        st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
    )
    if kind == stat.S_IFREG:
        pieces = draw(st.lists(st.tuples(st.none() | ids, st.integers(1, 1 << 20)), max_size=3))
        content = FileContent(sum(length for _, length in pieces), tuple(pieces))
    else:
        content = {
            stat.S_IFDIR: draw(ids),
            stat.S_IFLNK: draw(st.binary(max_size=20)),
            stat.S_IFCHR: draw(st.integers(0, 1 << 40)),
            stat.S_IFIFO: None,
        }[kind]
    xattrs = tuple(draw(st.lists(st.tuples(names, st.binary(max_size=5)), max_size=2)))
    return TreeEntry(name, kind | 0o644, xattrs, content)


@given(st.lists(entries(), max_size=5, unique_by=lambda entry: entry.name))
def test_an_object_reads_back_sorted_whatever_the_order_it_was_made_in(items):
    data = encode_tree_object(items)
    assert decode_tree_object(data, ANY_ID) == sorted(items, key=lambda entry: entry.name)
    assert encode_tree_object(items[::-1]) == data


@given(st.binary(max_size=100))
def test_other_bytes_are_refused_with_the_id(data):
    with pytest.raises(CorruptTreeObjectError, match="00000000"):
        decode_tree_object(data, ANY_ID)


@pytest.mark.parametrize(
    "entry",
    [
        TreeEntry(b"..", stat.S_IFLNK | 0o777, (), b"x"),
        TreeEntry(b"a/b", stat.S_IFLNK | 0o777, (), b"x"),
        TreeEntry(b"a", stat.S_IFDIR | 0o755, (), b"short"),
        TreeEntry(b"a", stat.S_IFREG | 0o644, (), FileContent(5, ((ChunkId(bytes(32)), 4),))),
        TreeEntry(b"a", stat.S_IFREG | 0o644, (), None),
    ],
)
def test_entries_that_no_tree_has_are_refused(entry):
    with pytest.raises(CorruptTreeObjectError):
        decode_tree_object(encode_tree_object([entry]), ANY_ID)


def test_the_object_of_the_document_is_the_one_we_write():
    data = example("tree")
    assert encode_tree_object([TreeEntry(b"a", 0o100644, (), FileContent(0, ()))]) == data
    object_id = TreeObjectId(blake3(data).digest())
    assert [entry.name for entry in decode_tree_object(data, object_id)] == [b"a"]
