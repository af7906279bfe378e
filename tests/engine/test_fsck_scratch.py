"""Bytes that an extent names are there, and are those that were written."""

from pathlib import Path

from pyi_fs.engine.fsck import check_store
from pyi_fs.store import layout
from tests.support.damage import damage_scratch, errors
from tests.support.engine_rig import noise, opened, put, written


def test_damage_is_named_with_the_files_and_refs_it_touches(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            number = put(branch, b"d/hit", noise(9_000, "hit"))
            put(branch, b"spared", noise(9_000, "spared"))
            first = workspace.snapshot(branch).snapshot
            put(branch, b"d/hit", b"new")
            second = workspace.snapshot(branch).snapshot
            (segment,) = store.layers.segments(branch.position.layer)
        damage_scratch(store, segment, 100)
        assert check_store(store, verify_data=False) == []
        (finding,) = check_store(store, verify_data=True)
        assert finding.severity == "error"
        assert finding.kind == "data"
        assert finding.file == f"layers/{segment >> 56:02x}/{segment >> 24:010x}/scratch-000000"
        assert finding.paths == (b"d/hit",)
        assert finding.refs == (f"a@{first.id}",)
        assert second.id not in str(finding)
        assert "touches d/hit" in str(finding)
        assert number == 3


def test_a_lost_segment_is_found_without_reading_data(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x" * 9_000)
            (segment,) = store.layers.segments(branch.position.layer)
        store.storage.remove(f"layers/{segment >> 56:02x}/{segment >> 24:010x}/scratch-000000")
        (finding,) = check_store(store, verify_data=False)
        assert finding.message == "the segment is gone, and there is no map of it"
        assert finding.paths == (b"f",)


def test_what_was_given_back_is_not_missed(tmp_path: Path):
    """A punched run has a wrong checksum, and nobody needs it."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(4 << 20, "first"))
            put(branch, b"f", noise(100))
            branch.sync()
            branch.reclaim()
            assert branch.writer is not None
            assert branch.writer.scratch.returned_bytes >= 4 << 20
        assert check_store(store, verify_data=True) == []


def test_a_short_segment_is_found_without_reading_data(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(9_000))
            (segment,) = store.layers.segments(branch.position.layer)
        path = store.path / layout.scratch(segment)
        path.write_bytes(path.read_bytes()[:8_000])
        (finding,) = errors(check_store(store, verify_data=False))
        assert finding.paths == (b"f",)
        assert finding.message == "it has 8000 bytes, and a file more of them"
