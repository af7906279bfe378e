"""Who needs which bytes of sealed segments, which layers, which chunks."""

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.engine.holders import holders_of
from pyi_fs.engine.marking import sealed_maps, trims
from pyi_fs.engine.needs import Needs, Piece, cut_map, kept, needs_of
from pyi_fs.engine.roots import positions_of
from pyi_fs.engine.store import Store
from pyi_fs.ids import LayerId, WorkspaceName
from pyi_fs.model import extent
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.purge_rig import seal_all_snapshots

PIECES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(0, 7)), max_size=6)


def needs(store: Store) -> Needs:
    return needs_of(store, holders_of(store))


def test_a_range_is_needed_by_the_snapshots_that_show_it(tmp_path: Path) -> None:
    """One file, a snapshot each time: each holds its own version, all of them the other file."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"common", noise(10_000, "common"))
            for index in range(3):
                put(branch, b"f", noise(20_000, f"{index}"))
                workspace.snapshot(branch)
        seal_everything(store)
        held, found = holders_of(store), needs(store)
        bits = [1 << bit for bit, one in enumerate(held.holders) if one.snapshot is not None]
        everybody = bits[0] | bits[1] | bits[2]
        (pieces,) = found.segments.values()
        assert [(piece.start, piece.end) for piece in pieces] == [
            (0, 10_000),
            (10_000, 30_000),
            (30_000, 50_000),
            (50_000, 70_000),
        ]
        assert pieces[0].holders & everybody == everybody
        assert [piece.holders & everybody for piece in pieces[1:]] == bits
        (pieces_of_map,) = found.maps.values()
        for piece in pieces:
            for item in extent.overlapping(pieces_of_map, piece.start, piece.end):
                assert found.chunks[item.chunk] & piece.holders == piece.holders


def test_tree_objects_are_needed_by_their_snapshots(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"same/f", noise(1000, "same"))
            put(branch, b"d/f", noise(1000, "one"))
            workspace.snapshot(branch)
            put(branch, b"d/f", noise(1000, "two"))
            workspace.snapshot(branch)
        seal_all_snapshots(store, "a")
        held, found = holders_of(store), needs(store)
        bits = [1 << bit for bit, one in enumerate(held.holders) if one.root is not None]
        assert len(bits) == 2
        by_holders = sorted(found.chunks.values())
        # Root and `d` of each; `same` of both.
        assert by_holders == sorted([*bits, *bits, bits[0] | bits[1]])


def test_it_is_what_collection_finds(tmp_path: Path) -> None:
    """Of the whole store, and with all but one snapshot gone."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            for index in range(5):
                for name in (b"f", b"g"):
                    put(branch, name, noise(9_000 + 1000 * index, f"{name!r}{index}"))
                workspace.snapshot(branch)
            put(branch, b"f", b"")
        seal_everything(store)
        found = needs(store)
        positions: dict[LayerId, set[int]] = {}
        for layer, offset in positions_of(store, WorkspaceName("a")):
            positions.setdefault(layer, set()).add(offset)
        assert _trimmed(found, 0) == {
            trim.segment: trim.pieces for trim in trims(store, positions, sealed_maps(store))
        }
        snapshots = [
            (1 << bit, one) for bit, one in enumerate(holders_of(store).holders) if one.snapshot
        ]
        bit, snapshot = snapshots[2]
        (position,) = snapshot.positions
        everybody = (1 << len(holders_of(store).holders)) - 1
        assert _trimmed(found, everybody & ~bit) == {
            trim.segment: trim.pieces
            for trim in trims(store, {position.layer: {position.offset}}, sealed_maps(store))
        }


def _trimmed(found: Needs, removed: int):
    """Returns the maps that become smaller without some holders."""
    cut = {
        segment: tuple(cut_map(pieces, kept(found.segments[segment], removed)))
        for segment, pieces in found.maps.items()
    }
    whole = {segment: tuple(extent.iterate(pieces)) for segment, pieces in found.maps.items()}
    size = {one: sum(piece.length for piece in pieces) for one, pieces in whole.items()}
    return {
        one: pieces
        for one, pieces in cut.items()
        if sum(piece.length for piece in pieces) != size[one]
    }


@given(PIECES, st.integers(0, 7))
def test_what_is_kept_is_joined_and_is_just_what_others_need(parts, removed: int) -> None:
    pieces, place = [], 0
    for length, gap, holders in parts:
        pieces.append(Piece(place + gap, place + gap + length, holders))
        place += gap + length
    found = list(kept(pieces, removed))
    wanted = {
        place
        for piece in pieces
        if piece.holders & ~removed
        for place in range(piece.start, piece.end)
    }
    assert {place for start, end in found for place in range(start, end)} == wanted
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(found))
