"""A purge of files whose versions were sealed as parts of each other (`engine/patching.py`)."""

from pathlib import Path

from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.purge import plan
from pyi_fs.model import extent
from pyi_fs.store import sealmap
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.purge_rig import (
    SECRET,
    comparable,
    pictures,
    places,
    purge,
    roots_are_right,
    seal_all_snapshots,
    without,
)


def test_versions_that_are_parts_of_each_other(tmp_path: Path) -> None:
    """Written anew as a whole, sealed as little that is new and parts of the chunks before."""
    with opened(tmp_path / "store") as store:
        filler = noise(90_000, "filler")
        for index in range(4):
            with written(store, "job") as (workspace, branch):
                text = b"%d: " % index + SECRET + b" "
                put(branch, b"env", text + filler + text)
                put(branch, b"other", filler[:60_000] + b"%d" % index + filler[60_000:])
                workspace.snapshot(branch)
            if index != 2:
                seal_everything(store)
        seal_all_snapshots(store, "job")
        pieces = [
            piece
            for path in store.path.glob("layers/*/*/map-*")
            for piece in extent.iterate(sealmap.decode(path.read_bytes(), path.name))
        ]
        assert any(piece.source_offset for piece in pieces)
        before = pictures(store)
        done = purge(store, "job", b"env", everywhere=True)
        assert done.notes == ()
        assert places(store, SECRET) == []
        found = pictures(store)
        for key, tree in comparable(without(before, lambda _, path: path == b"env")).items():
            assert comparable(found)[key].get(b"env") == tree.get(b"env")
        assert check_store(store, verify_data=True) == []
        assert roots_are_right(store)
        assert plan(store, "job", [b"env"]).is_done
