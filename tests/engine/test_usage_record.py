"""What was found out is noted, short, and read back; and the note is counted."""

from pathlib import Path

from pyi_fs.engine import usage_record
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.usage import usage
from pyi_fs.engine.usage_record import note_usage, noted_usage, read_usage
from pyi_fs.ids import WorkspaceName
from pyi_fs.store import layout
from tests.support.engine_rig import blocks_below, noise, opened, put, written

A = WorkspaceName("a")


def test_a_note_is_read_back(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", noise(50_000))
            first = workspace.snapshot(branch).snapshot
        assert read_usage(store.storage, A) is None
        (found,) = noted_usage(store).workspaces
        record = read_usage(store.storage, A)
        assert record is not None
        main = record.branches["main"]
        assert (main.own_bytes, main.frees_bytes) == (
            found.branches[0].held.own_bytes,
            found.branches[0].held.frees_bytes,
        )
        assert main.own_bytes > 50_000
        assert record.snapshots[first.id].shared_bytes > 50_000
        assert [one for one in check_store(store, verify_data=True) if one.severity != "note"] == []


def test_the_note_itself_is_counted(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
        (found,) = noted_usage(store).workspaces
        assert found.log_bytes == blocks_below(store.path / "workspaces" / "a")
        assert found == usage(store).workspaces[0]


def test_it_is_short_whatever_there_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(usage_record, "NAMES_MAX", 3)
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            for index in range(5):
                put(branch, b"f", b"%d" % index)
                workspace.snapshot(branch)
            newest = [one.id for one in workspace.refs.ordered()][-3:]
        noted_usage(store)
        record = read_usage(store.storage, A)
        assert record is not None
        assert list(record.snapshots) == newest


def test_damage_is_no_note_and_no_error(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
            layer = branch.position.layer
        path = store.path / layout.journal(layer)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        note_usage(store)
        assert read_usage(store.storage, A) is None
        (store.path / layout.usage_record(A)).write_text("{")
        assert read_usage(store.storage, A) is None
