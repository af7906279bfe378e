"""What logs promise is read from them, as far as they can be read."""

from pathlib import Path

from pyi_fs.engine.findings import Report
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.fsck_roots import promised_by_logs, tail_of
from pyi_fs.model.operation import Void
from pyi_fs.store import layout
from tests.support.engine_rig import opened, put, written


def test_a_torn_frame_is_told_from_damage():
    assert tail_of(b"", 0) == "nothing"
    assert tail_of(b"x" * 7, 0) == "torn"
    assert tail_of((20).to_bytes(4, "little") + bytes(23), 0) == "torn"
    assert tail_of((20).to_bytes(4, "little") + bytes(24), 0) == "damage"


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


def test_a_workspace_half_made_is_a_note(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        store.storage.make_directory("workspaces/a")
        (finding,) = check_store(store, verify_data=False)
        assert (finding.severity, finding.kind) == ("note", "log")
