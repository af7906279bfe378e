"""The record of the last collection is read back, short, and may be missing or damaged."""

from pathlib import Path

from pyi_fs.engine.gc_record import Record, read_record, write_record
from tests.support.engine_rig import opened


def test_a_record_is_read_back_with_its_first_notes(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        assert read_record(store.storage) is None
        notes = tuple(map(str, range(50)))
        write_record(store.storage, Record(1, 2, "why", 3, 4, 5, 6, 7, 8, 9, notes))
        assert read_record(store.storage) == Record(1, 2, "why", 3, 4, 5, 6, 7, 8, 9, notes[:20])
        (tmp_path / "store" / "gc.last").write_text("{")
        assert read_record(store.storage) is None
