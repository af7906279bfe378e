"""The files of each layer are looked at, and what a power loss took is told from damage."""

import os
from pathlib import Path

import pytest

from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.fsck import check_directory, check_store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import WorkspaceName
from pyi_fs.model.operation import MoveBranch
from pyi_fs.store import layer_writer, layout
from tests.support.damage import build, damage_scratch, errors, files_of
from tests.support.engine_rig import noise, opened, put, written


def test_strays_and_modes_are_warned_of(tmp_path: Path):
    build(tmp_path / "store")
    root = tmp_path / "store"
    layer = next(iter((root / "layers").glob("*/*")))
    for stray in ("x", "layers/00/x", "packs/x", "workspaces/a/x"):
        (root / stray).parent.mkdir(exist_ok=True, mode=0o700)
        (root / stray).touch(mode=0o600)
    (layer / "x").touch(mode=0o600)
    (layer / "base.0123.tmp").touch(mode=0o600)
    os.utime(layer / "base.0123.tmp", (1, 1))
    # This one may be written just now.
    (layer / "noted.4567.tmp").touch(mode=0o600)
    (root / "layers" / "00" / "0000000000.removed").mkdir(mode=0o700)
    os.chmod(layer / "journal", 0o644)
    os.chmod(root, 0o755)
    found = check_directory(root, verify_data=False)
    assert not errors(found)
    warned = {one.file for one in found if one.severity == "warning"}
    inside = layer.relative_to(root).as_posix()
    assert warned == {
        "x", "layers/00/x", "packs/x", "workspaces/a/x", f"{inside}/x", f"{inside}/journal", ".",
    }  # fmt: skip
    noted = {one.file for one in found if one.severity == "note"}
    assert noted == {f"{inside}/base.0123.tmp", "layers/00/0000000000.removed"}


def test_a_torn_tail_is_a_note(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            journal = store.path / f"layers/{branch.position.layer >> 32:02x}"
            workspace.snapshot(branch)
        for file in (next(journal.glob("*/journal")), store.path / "workspaces" / "a" / "log"):
            data = file.read_bytes()
            file.write_bytes(data + b"\x40\0\0\0\1\2\3\4half")
            (finding,) = check_store(store, verify_data=True)
            assert finding.severity == "note"
            assert f"a torn record at {len(data)}" in finding.message
            file.write_bytes(data)


@pytest.mark.parametrize("length", [5, 20])
def test_a_layer_whose_making_was_cut_off_is_a_note(tmp_path: Path, length: int):
    """A killed process leaves a journal without a whole header, which nothing names."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
            whole = store.path / layout.journal(branch.position.layer)
        begun = store.path / "layers/00/0000000001/journal"
        begun.parent.mkdir(parents=True, mode=0o700)
        begun.write_bytes(whole.read_bytes()[:length])
        begun.chmod(0o600)
        found = check_store(store, verify_data=True)
        assert [one.severity for one in found if one.file.startswith("layers/00/")] == ["note"]
        assert not errors(found)


def test_a_layer_made_ahead_is_nothing_to_tell(tmp_path: Path):
    """A live mount always has some."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
        store.layers.spares.refill()
        assert check_store(store, verify_data=True) == []


def test_a_check_cuts_nothing_that_another_boot_left_unsynced(tmp_path: Path):
    """Who opens the branch next cuts it; until then it is a warning, not damage."""
    with opened(tmp_path / "store") as store:
        create_workspace(store, "a")
        workspace = Workspace(store, WorkspaceName("a"))
        branch = workspace.open_branch("main")
        put(branch, b"kept", noise(9_000, "kept"))
        branch.sync()
        put(branch, b"lost", noise(9_000, "lost"))
        (segment,) = store.layers.segments(branch.position.layer)
        workspace.close()
    before = {file: file.read_bytes() for file in files_of(tmp_path / "store")}
    with opened(tmp_path / "store") as store:
        damage_scratch(store, segment, 9_100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyi_fs.engine.fsck.boot_id", lambda: "the next boot")
        found = check_directory(tmp_path / "store", verify_data=True)
    assert [(one.severity, one.kind, one.paths) for one in found] == [
        ("warning", "data", (b"lost",))
    ]
    after = {file: file.read_bytes() for file in files_of(tmp_path / "store")}
    changed = [file.name for file in after if after[file] != before.get(file)]
    assert set(changed) <= {"scratch-000000", "index.sqlite"}
    (finding,) = errors(check_directory(tmp_path / "store", verify_data=True))
    assert finding.paths == (b"lost",)


def test_a_position_in_the_middle_of_a_record_is_found(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", b"x")
            branch.sync()
            taken = workspace.snapshot(branch).snapshot
            wrong = taken.position._replace(offset=taken.position.offset - 1)
            workspace.log.append(lambda _: MoveBranch(0, branch.name, wrong, wrong, None, None))
        found = errors(check_store(store, verify_data=False))
        messages = {one.message for one in found if one.kind == "journal"}
        assert messages == {f"position {wrong.offset} is no end of a record"}


def test_a_damaged_table_of_runs_is_a_warning_because_the_journal_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(layer_writer, "RUNS_JOURNAL_BYTES_MIN", 0)
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(9_000))
            (segment,) = store.layers.segments(branch.position.layer)
        runs = store.path / layout.runs(segment)
        runs.write_bytes(b"\1" + runs.read_bytes()[1:])
        (finding,) = check_store(store, verify_data=True)
        assert (finding.severity, finding.kind) == ("warning", "runs")
