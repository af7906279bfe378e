"""The status of a branch counts what is open and unsaved, without a walk."""

from typing import Any

from pyi_fs.engine.status import branch_status
from tests.support.workspaces import Rig


def status(rig: Rig, *, is_log_synced: bool = True) -> dict[str, Any]:
    return branch_status(rig.workspace.refs, is_log_synced, rig.main)


def test_a_branch_that_was_never_written_has_nothing_open(workspace: Rig) -> None:
    assert status(workspace) == {
        "branch": "main",
        "generation": 0,
        "last_snapshot": None,
        "changed": False,
        "snapshots": 0,
        "branches": 1,
        "inodes_changed": len(workspace.main.tree.inodes),
        "unlinked": 0,
        "written_bytes": 0,
        "scratch_bytes": 0,
        "returned_bytes": 0,
        "garbage_bytes": 0,
        "journal_bytes": 0,
        "synced": True,
        "read_only": False,
        "ephemeral": False,
    }


def test_what_is_written_is_counted_and_unsaved_until_both_are_synced(workspace: Rig) -> None:
    workspace.make("a", b"x" * 1_000)
    workspace.write("a", b"y" * 300)
    found = status(workspace)
    assert (found["written_bytes"], found["scratch_bytes"]) == (1_300, 1_300)
    assert found["garbage_bytes"] == 300
    assert found["journal_bytes"] == workspace.main.position.offset
    assert (found["changed"], found["synced"]) == (True, False)
    workspace.main.sync()
    assert status(workspace)["synced"]
    assert not status(workspace, is_log_synced=False)["synced"]


def test_files_without_a_name_are_counted_until_they_are_reaped(workspace: Rig) -> None:
    before = status(workspace)["inodes_changed"]
    workspace.make("a", b"x")
    assert status(workspace)["inodes_changed"] == before + 1
    workspace.remove("a")
    assert status(workspace)["unlinked"] == 1


def test_refs_and_generation_follow_snapshots_branches_and_restores(workspace: Rig) -> None:
    workspace.make("a")
    first = workspace.snapshot()
    found = status(workspace)
    assert (found["last_snapshot"], found["changed"], found["snapshots"]) == (first, False, 1)
    workspace.workspace.make_branch("side", workspace.main)
    assert status(workspace)["branches"] == 2
    workspace.workspace.drop_branch("side")
    assert status(workspace)["branches"] == 1
    workspace.make("b")
    workspace.workspace.restore(workspace.main, first)
    found = status(workspace)
    assert (found["generation"], found["last_snapshot"]) == (1, first)
    assert found["snapshots"] == 2


def test_layers_that_a_restore_left_count_until_they_are_closed(workspace: Rig) -> None:
    workspace.make("a", b"x" * 500)
    first = workspace.snapshot()
    workspace.workspace.restore(workspace.main, first)
    workspace.write("a", b"z" * 200)
    assert status(workspace)["scratch_bytes"] == 700
    assert len(workspace.main.writers()) == 2
    workspace.main.sync()
    workspace.main.tidy()
    found = status(workspace)
    assert (found["scratch_bytes"], found["written_bytes"]) == (200, 700)
    assert found["journal_bytes"] == workspace.main.position.offset


def test_of_an_ephemeral_branch_it_says_what_is_in_memory(tiered: Rig) -> None:
    assert status(tiered)["ephemeral"] is False
    assert "spilled" not in status(tiered)
    tiered.workspace.make_branch("try", tiered.main, ephemeral=True)
    branch = tiered.branch("try")
    tiered.make("a", b"x" * 500, on="try")
    found = tiered.workspace.status(branch)
    assert (found["ephemeral"], found["spilled"], found["synced"]) == (True, False, False)
    assert found["memory_bytes"] == 500 + branch.position.offset
    assert "lost" not in found
    assert tiered.store.layers.bound is not None
    tiered.store.layers.bound.bytes_max = 0
    for number in range(3):
        tiered.write("a", b"y" * 70_000, 500 + number * 70_000, on="try")
    found = tiered.workspace.status(branch)
    assert (found["ephemeral"], found["spilled"]) == (True, True)
    branch.loss = "a sentence"
    assert tiered.workspace.status(branch)["lost"] == "a sentence"
