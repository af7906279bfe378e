"""The pool of layers: made, read, pinned, synced with what they stand on."""

import pytest

from pyi_fs import limits
from pyi_fs.errors import CorruptSegmentError, NotFoundError
from pyi_fs.ids import LayerId, Position, SegmentId, segment_id
from pyi_fs.model import extent
from pyi_fs.store import layout
from pyi_fs.store.journal import read_synced
from tests.support.crashes import RecordingStorage
from tests.support.fixtures import boot, empty_chunk_index, memory, shelf, workspace
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace

__all__ = ["boot", "empty_chunk_index", "memory", "shelf", "workspace"]


def only_extent(rig: Rig, path: str) -> extent.Extent:
    inode = rig.main.tree.existing(rig.number(path))
    (found,) = extent.iterate(inode.extents)
    return found


def test_new_layers_have_directories_of_their_own(workspace: Rig) -> None:
    layers = workspace.store.layers
    made = {layers.new_directory() for _ in range(20)}
    assert len(made) == 20
    for layer in made:
        assert workspace.storage.exists(layout.layer_directory(layer))


def test_a_header_says_what_a_layer_starts_from(workspace: Rig) -> None:
    begin = workspace.main.position
    workspace.make("f")
    layer = workspace.main.position.layer
    header = workspace.store.layers.header(layer)
    assert header.parent == begin
    assert (header.workspace, header.branch, header.boot) == ("ws", "main", "boot-1")
    start = workspace.store.layers.start(layer)
    first, _ = next(workspace.store.layers.records(layer))
    assert 0 < start < first
    with pytest.raises(NotFoundError, match="0000000000"):
        workspace.store.layers.header(LayerId(0))


def test_bytes_are_read_while_written_afterwards_and_when_sealed(workspace: Rig) -> None:
    workspace.make("f", bytes(range(200)))
    found = only_extent(workspace, "f")
    layers = workspace.store.layers

    def read(offset: int, length: int) -> bytes | None:
        return layers.read_scratch(found.segment, offset, length)

    expected = bytes(range(200))
    for _ in range(2):
        assert read(0, 200) == expected
        assert read(50, 100) == expected[50:150]
        workspace.workspace.close_branch(workspace.main)
    workspace.seal_left()
    assert layers.segments(found.segment >> 24) == []  # type: ignore[arg-type]
    assert read(0, 200) == expected
    assert read(50, 100) == expected[50:150]


def test_changed_bytes_are_an_error_and_never_data(workspace: Rig) -> None:
    workspace.make("f", bytes(range(200)))
    found = only_extent(workspace, "f")
    path = layout.scratch(found.segment)
    workspace.close()
    for position in range(0, 200, 7):
        good = workspace.storage.read(path)
        bad = bytearray(good)
        bad[position] ^= 1
        workspace.storage.write_atomic(path, [bytes(bad)])
        rig = Rig(workspace.storage, clock=workspace.clock)
        with pytest.raises(CorruptSegmentError, match="scratch"):
            rig.read("f")
        rig.close()
        workspace.storage.write_atomic(path, [good])
    workspace.restart()


def test_damaged_runs_are_read_from_the_journal_instead(workspace: Rig) -> None:
    workspace.make("f", b"content")
    segment = only_extent(workspace, "f").segment
    workspace.close()
    for damage in (b"", b"\0" * 32, b"x"):
        workspace.storage.write_atomic(layout.runs(segment), [damage])
        rig = Rig(workspace.storage, clock=workspace.clock)
        assert rig.read("f") == b"content"
        rig.close()
    workspace.storage.remove(layout.runs(segment))
    workspace.restart()


def test_a_segment_and_its_map_both_gone_is_an_error(workspace: Rig) -> None:
    missing = segment_id(workspace.main.position.layer, 77)
    with pytest.raises(CorruptSegmentError, match="neither"):
        workspace.store.layers.read_scratch(SegmentId(missing), 0, 1)


def test_bytes_that_were_not_kept_are_an_error(workspace: Rig) -> None:
    workspace.make("f", b"x" * 100)
    segment = only_extent(workspace, "f").segment
    workspace.write("f", b"y" * 100)
    workspace.seal_all()
    with pytest.raises(CorruptSegmentError, match="gap"):
        workspace.store.layers.read_scratch(segment, 0, 100)
    assert workspace.read("f") == b"y" * 100


def test_open_segments_are_bounded(workspace: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPEN_SEGMENTS_MAX", 2)
    for number in range(6):
        workspace.make(f"f{number}", b"%d" % number)
        writer = workspace.main.writer
        assert writer is not None
        writer.scratch.close_current()
    workspace.workspace.close_branch(workspace.main)
    for number in (0, 5, 1, 4, 2, 3, 0):
        assert workspace.read(f"f{number}") == b"%d" % number


def test_pins_add_up(workspace: Rig) -> None:
    layer = workspace.main.position.layer
    for text in ("one 5", "two 7"):
        workspace.store.layers.pin(layer, text)
    assert workspace.storage.read(layout.pins(layer)) == b"one 5\ntwo 7\n"


@pytest.mark.usefixtures("boot")
def test_syncing_a_branch_syncs_what_it_starts_from(shelf: IndexShelf, boot: Boot) -> None:
    """Its parent is another branch's layer, written by somebody else and never synced."""
    storage = RecordingStorage(shelf.directory())
    rig = new_workspace(storage)
    rig.make("f", b"of main")
    rig.workspace.make_branch("side", rig.main)
    parent = rig.main.position
    rig.make("g", b"of side", on="side")
    rig.branch("side").sync()
    assert read_synced(storage, parent.layer) >= parent.offset
    expected = rig.picture("side")
    boot.again()
    for seed in range(20):
        again = Rig(storage.without_power(shelf, seed))
        assert again.picture("side") == expected
        again.close()
    rig.die()


def test_the_layers_of_an_earlier_boot_are_not_synced(shelf: IndexShelf, boot: Boot) -> None:
    storage = RecordingStorage(shelf.directory())
    rig = new_workspace(storage)
    rig.make("f", b"x")
    position = Position(*rig.main.position)
    rig.close()
    boot.again()
    again = Rig(storage)
    moments = storage.moments = []
    again.store.layers.sync_lineage(position)
    storage.moments = None
    assert moments == []
    again.close()
