"""Seal maps: read as written, damage is noticed."""

import pytest

from pyi_fs.errors import CorruptSegmentError
from pyi_fs.model import extent
from pyi_fs.model.extent import CHUNK, Extent
from pyi_fs.store import sealmap

PIECES = [
    Extent(0, 100, CHUNK, b"a" * 32, 0),
    Extent(100, 50, CHUNK, b"b" * 32, 7),
    Extent(400, 5, CHUNK, b"a" * 32, 200),
]


def test_pieces_come_back() -> None:
    read = sealmap.decode(sealmap.encode(PIECES), "map-1")
    assert list(extent.iterate(read)) == PIECES
    assert extent.overlapping(read, 90, 110) == [
        Extent(90, 10, CHUNK, b"a" * 32, 90),
        Extent(100, 10, CHUNK, b"b" * 32, 7),
    ]


def test_a_segment_of_which_nothing_was_kept_has_an_empty_map() -> None:
    assert sealmap.decode(sealmap.encode([]), "map-1") == extent.EMPTY


def test_a_map_of_many_pieces_comes_back() -> None:
    many = [Extent(i * 10, 5, CHUNK, b"c" * 32, i * 5) for i in range(500)]
    assert list(extent.iterate(sealmap.decode(sealmap.encode(many), "map-1"))) == many


def test_every_cut_and_every_changed_byte_is_noticed() -> None:
    whole = sealmap.encode(PIECES)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        for data in (whole[:position], bytes(damaged)):
            with pytest.raises(CorruptSegmentError, match="map-1"):
                sealmap.decode(data, "map-1")


@pytest.mark.parametrize(
    "pieces",
    [
        [Extent(0, 100, CHUNK, b"a" * 32, (1 << 64) - 10)],
        [Extent((1 << 64) - 10, 100, CHUNK, b"a" * 32, 0)],
        [PIECES[1], PIECES[0]],
        [PIECES[0], PIECES[0]],
    ],
    ids=["beyond its chunk", "beyond all", "unsorted", "overlapping"],
)
def test_a_map_that_no_sealer_writes_is_refused(pieces: list[Extent]) -> None:
    """With the right checksum; a part of the first would fit no entry."""
    with pytest.raises(CorruptSegmentError):
        sealmap.decode(sealmap.encode(pieces), "map-1")
