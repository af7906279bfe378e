"""The names of plain files: of the chunks alone, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.format.plain import Piece, joined, parsed_name, plain_key, plain_name
from pyi_fs.ids import ChunkId, ContentDigest, PlainKey
from tests.format.test_document_examples import example

A, B = ChunkId(b"a" * 32), ChunkId(b"b" * 32)
digests = st.binary(min_size=32, max_size=32)
chunks = st.lists(
    st.tuples(st.sampled_from([A, B]), st.integers(0, 100), st.integers(2, 50)),
    min_size=1,
    max_size=6,
)


@given(chunks, st.data())
def test_the_key_is_of_the_bytes_not_of_how_extents_cut_them(found, data):
    pieces = [Piece(*piece) for piece in found]
    size = sum(piece.length for piece in pieces)
    index = data.draw(st.integers(0, len(pieces) - 1))
    chunk, offset, length = pieces[index]
    at = data.draw(st.integers(1, length - 1))
    cut = [Piece(chunk, offset, at), Piece(chunk, offset + at, length - at)]
    again = pieces[:index] + cut + pieces[index + 1 :]
    assert joined(again) == joined(pieces)
    assert plain_key(again, size) == plain_key(pieces, size)


def test_other_pieces_in_another_order_or_of_another_size_have_another_key():
    pieces = [Piece(A, 0, 10), Piece(B, 0, 10)]
    others = [
        ([Piece(B, 0, 10), Piece(A, 0, 10)], 20),
        ([Piece(A, 1, 10), Piece(B, 0, 10)], 20),
        ([Piece(A, 0, 9), Piece(B, 0, 11)], 20),
        ([Piece(A, 0, 10)], 10),
        (pieces, 21),
        ([], 0),
    ]
    keys = {plain_key(pieces, 20), *(plain_key(*other) for other in others)}
    assert len(keys) == len(others) + 1


@given(digests, digests)
def test_names_are_parsed_back(key, content):
    name = plain_name(PlainKey(key), ContentDigest(content))
    assert parsed_name(name) == (key, content)
    assert parsed_name(name.upper()) in (None, (key, content))


@pytest.mark.parametrize(
    "name",
    [
        *("", "lock", "ab-cd", "0" * 64, f"{'0' * 64}-{'0' * 63}", f"{'0' * 64}-{'0' * 64}.tmp"),
        *(f"{'g' * 64}-{'0' * 64}", f"{'A' * 64}-{'0' * 64}", f"{'0' * 62} 0-{'0' * 64}"),
        *(f"{' 0' * 32}-{'0' * 64}", f"{'0' * 64}-{'0' * 32}-{'0' * 31}"),
    ],
)
def test_other_names_are_none(name):
    assert parsed_name(name) is None


def test_the_key_of_the_document_is_the_one_we_make():
    size, pieces = 70_000, [Piece(ChunkId(bytes(32)), 0, 65_536), Piece(A, 100, 4_464)]
    assert plain_key(pieces, size) == example("plain")
