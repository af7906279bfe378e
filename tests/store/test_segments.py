"""Threads read segments while others open, leave and forget them: always the right bytes."""

from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.errors import CorruptSegmentError
from pyi_fs.ids import segment_layer
from pyi_fs.model.extent import iterate
from pyi_fs.store import layout
from tests.support.engine_rig import noise, opened, put, written


def test_readers_keep_their_file_when_others_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment is put out of the open ones, and its number goes to another, while it is read."""
    monkeypatch.setattr(limits, "OPEN_SEGMENTS_MAX", 1)
    with opened(tmp_path / "store") as store, written(store, "w") as (_workspace, branch):
        segments = []
        for index in range(3):
            number = put(branch, b"f%d" % index, noise(5_000, str(index)))
            (extent,) = iterate(branch.tree.existing(number).extents)
            segments.append(extent)
            branch.roll()
        branch.sync()
        branch.tidy()
        layers = store.layers
        acquired = layers._segments._files.acquire(segments[0].segment)  # noqa: SLF001
        for extent in segments[1:]:
            layers.read_scratch(extent.segment, extent.source_offset, extent.length)
        assert acquired.file.read_at(segments[0].source_offset, 5_000) == noise(5_000, "0")
        layers._segments._files.release(acquired)  # noqa: SLF001
        for index, extent in enumerate(segments):
            data = layers.read_scratch(extent.segment, extent.source_offset, extent.length)
            assert data == noise(5_000, str(index))


def test_a_segment_its_writer_closes_meanwhile_is_read_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store") as store, written(store, "w") as (_, branch):
        number = put(branch, b"f", noise(5_000))
        (extent,) = iterate(branch.tree.existing(number).extents)
        (writer,) = branch.writers()
        file = writer.scratch.file(extent.segment)
        looked = []

        def looks(_: object) -> object:
            looked.append(True)
            if len(looked) == 1:
                # Between the look and the read.
                branch.close()
                return file
            return None

        monkeypatch.setattr(writer.scratch, "file", looks)
        monkeypatch.setitem(store.layers._writers, writer.layer, writer)  # noqa: SLF001
        data = store.layers.read_scratch(extent.segment, extent.source_offset, extent.length)
        assert data == noise(5_000)


def test_a_file_that_stays_closed_is_an_error_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store") as store, written(store, "w") as (_, branch):
        number = put(branch, b"f", noise(5_000))
        (extent,) = iterate(branch.tree.existing(number).extents)
        (writer,) = branch.writers()
        file = writer.scratch.file(extent.segment)
        assert file is not None
        file.close()
        with pytest.raises(OSError, match="Bad file"):
            store.layers.read_scratch(extent.segment, extent.source_offset, extent.length)
        branch.close()
        assert store.layers.read_scratch(extent.segment, 0, 10) == noise(5_000)[:10]
        with pytest.raises(CorruptSegmentError):
            store.layers.read_scratch(extent.segment, 1 << 20, 10)


def test_a_segment_without_a_journal_is_damage_and_no_missing_file(tmp_path: Path) -> None:
    """A power loss leaves one; whoever looked whether the bytes were there could not go on."""
    with opened(tmp_path / "store") as store, written(store, "w") as (_, branch):
        number = put(branch, b"f", noise(5_000))
        (extent,) = iterate(branch.tree.existing(number).extents)
    (tmp_path / "store" / layout.journal(segment_layer(extent.segment))).unlink()
    with opened(tmp_path / "store") as store, pytest.raises(CorruptSegmentError, match="no run"):
        store.layers.read_scratch(extent.segment, extent.source_offset, extent.length)
