"""What logs promise is read from them, as far as they can be read."""

from pathlib import Path

import pytest

from pyi_fs.engine.findings import Report
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.fsck_roots import promised_by_logs
from pyi_fs.model.operation import Void
from pyi_fs.store import layout
from tests.support.engine_rig import opened, put, written


def test_every_ref_is_promised(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            taken = workspace.snapshot(branch).snapshot
            workspace.make_branch("side", taken)
            workspace.make_branch("gone", taken)
            workspace.drop_branch("gone")
        found = {root.label: root for root in promised_by_logs(store.storage, Report()).roots}
        assert {"a/main", "a/side", "a/gone (dropped)", f"a@{taken.id}"} <= found.keys()
        assert found["a/main"].offset is None
        assert found["a/side"][1:3] == taken.position == found[f"a@{taken.id}"][1:3]


def test_what_is_void_is_not_promised(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            layer, offset = branch.position
            put(branch, b"f", b"y")
            workspace.restore(branch, workspace.snapshot(branch).snapshot.id)
            put(branch, b"f", b"z")
            workspace.log.append(lambda _: Void(0, layer, offset))
        roots = promised_by_logs(store.storage, Report()).roots
        assert not [root for root in roots if root.layer == layer and (root.offset or 0) > offset]


def test_a_log_damaged_in_the_middle_is_an_error(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            workspace.snapshot(branch)
        log = store.path / layout.operations_log(workspace.name)
        data = bytearray(log.read_bytes())
        first = 8 + int.from_bytes(data[:4], "little")
        data[first + 9] ^= 1
        log.write_bytes(data)
        found = check_store(store, verify_data=False)
        assert [(one.severity, one.kind) for one in found] == [("error", "log")]
        assert f"stop being valid at {first}" in found[0].message


@pytest.mark.parametrize(
    ("end", "severity"),
    [
        (b"\x20\0\0\0torn", "note"),
        (bytes(300), "note"),
        (b"\x20\0\0\0torn" + bytes(100), "note"),
        (b"\x08\0\0\0not the checksum", "warning"),
    ],
    ids=["cut off", "zeros", "cut off, then zeros", "never written so"],
)
def test_what_follows_the_last_sync_of_a_log_is_no_error(
    tmp_path: Path, end: bytes, severity: str
) -> None:
    """A killed writer, a power loss: the next writer cuts it off."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            workspace.snapshot(branch)
        log = store.path / layout.operations_log(workspace.name)
        with log.open("ab") as file:
            file.write(end)
        (found,) = check_store(store, verify_data=False)
        assert (found.severity, found.kind) == (severity, "log")
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"y")
            workspace.snapshot(branch)
        assert check_store(store, verify_data=False) == []


def test_a_record_behind_a_bad_one_makes_it_an_error_whatever_was_noted(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            workspace.snapshot(branch)
        (store.path / layout.log_synced(workspace.name)).unlink()
        log = store.path / layout.operations_log(workspace.name)
        data = bytearray(log.read_bytes())
        data[8 + int.from_bytes(data[:4], "little") + 9] ^= 1
        log.write_bytes(data)
        (found,) = check_store(store, verify_data=False)
        assert (found.severity, found.kind) == ("error", "log")


def test_a_log_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
        (store.path / layout.operations_log(workspace.name)).unlink()
        found = check_store(store, verify_data=False)
        assert [(one.severity, one.kind) for one in found] == [("error", "log")]
        assert "the log is gone (it was synced to" in found[0].message


def test_a_workspace_half_made_is_a_note(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        store.storage.make_directory("workspaces/a")
        (finding,) = check_store(store, verify_data=False)
        assert (finding.severity, finding.kind) == ("note", "log")
