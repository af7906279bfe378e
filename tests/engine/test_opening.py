"""Opening branches: what was in memory is found again, or is said to be gone."""

import logging

import pytest

from pyi_fs.engine.findings import Report
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.fsck_roots import promised_by_logs
from pyi_fs.errors import NotFoundError
from tests.support.crashes import RecordingStorage
from tests.support.tiers import NOWHERE, Tiers
from tests.support.workspaces import Boot, Rig


@pytest.fixture
def rig(tiered: Rig) -> Rig:
    """An ephemeral branch with a named and two unnamed snapshots, and one that starts from it."""
    tiered.make("a", b"a" * 100)
    tiered.snapshot()
    tiered.main.sync()
    tiered.workspace.make_branch("try", tiered.main, ephemeral=True)
    tiered.make("x", b"first", on="try")
    tiered.snapshot("named", on="try")
    tiered.write("x", b"FIRST", on="try")
    tiered.snapshot(on="try")
    tiered.workspace.make_branch("child", tiered.branch("try"), ephemeral=True)
    tiered.make("y", b"y", on="child")
    tiered.snapshot(on="child")
    tiered.main.sync()
    return tiered


def lose_memory(rig: Rig) -> None:
    rig.close()
    assert isinstance(rig.storage, Tiers)
    rig.storage.memory_tier = RecordingStorage(NOWHERE)  # type: ignore[assignment]
    rig._begin("ws")  # noqa: SLF001 - another process


def findings(rig: Rig) -> list[str]:
    # The store of a rig has no format file, and its index another mode.
    return [
        str(one)
        for one in check_store(rig.store, verify_data=True)
        if one.kind not in ("mode", "format")
    ]


@pytest.mark.parametrize("is_boot", [True, False])
def test_what_is_gone_is_said_and_harms_nothing_else(
    rig: Rig, boot: Boot, is_boot: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """After a power loss, and after a logout that clears memory without a boot."""
    if is_boot:
        boot.again()
    lose_memory(rig)
    text = " ".join(findings(rig))
    assert "note: layers: branch 'try' was ephemeral, and its memory is gone" in text
    assert "error" not in text
    assert "warning" not in text
    with caplog.at_level(logging.WARNING):
        branch = rig.branch("try")
    sentence = (
        "branch 'try' of 'ws' was ephemeral, and the memory that it was in is gone: "
        "it is back at the last durable place before that"
    )
    assert [record.message for record in caplog.records] == [sentence]
    assert branch.loss == sentence
    assert rig.read("x", on="try") == b"first"
    assert set(rig.picture("child")) == {b"", b"a", b"x"}
    names = [one.name for one in rig.workspace.refs.ordered()]
    assert names == [None, "named"]
    assert rig.main.loss == ""
    rig.write("x", b"again", on="try")
    rig.restart()
    assert rig.branch("try").loss == ""
    assert rig.read("x", on="try") == b"again"
    assert "error" not in " ".join(findings(rig))


def test_nothing_is_said_of_what_is_there(rig: Rig) -> None:
    rig.restart()
    assert rig.branch("try").loss == rig.branch("child").loss == ""
    assert findings(rig) == []


def test_a_branch_that_was_lost_is_seen_at_its_start_by_others(rig: Rig, boot: Boot) -> None:
    boot.again()
    lose_memory(rig)
    tree, _ = rig.workspace.newest_tree("child")
    assert tree.resolve(b"x")
    with pytest.raises(NotFoundError):
        rig.workspace.snapshot_tree(
            rig.workspace.refs.snapshots[rig.workspace.refs.ordered()[2].id]
        )


def test_a_spilled_layer_goes_with_the_memory_it_stands_on(rig: Rig) -> None:
    assert rig.store.layers.bound is not None
    rig.store.layers.bound.bytes_max = 0
    rig.workspace.restore(rig.branch("try"), "named")
    rig.workspace.undo(rig.branch("try"))
    rig.write("x", b"spill", on="try")
    assert not rig.store.layers.is_in_memory(rig.branch("try").position.layer)
    lose_memory(rig)
    assert "error" not in " ".join(findings(rig))
    assert rig.read("x", on="try") == b"first"


def test_what_is_promised_of_ephemeral_branches_is_what_has_a_name(rig: Rig) -> None:
    found = {root.label: root for root in promised_by_logs(rig.storage, Report()).roots}
    ordered = rig.workspace.refs.ordered()
    assert [found[f"ws@{one.id}"].ephemeral for one in ordered] == ["", "", "try", "child"]
    assert found["ws/try"].ephemeral == "try"
    assert found["ws/main"].ephemeral == ""
    rig.workspace.keep_branch(rig.branch("try"))
    found = {root.label: root for root in promised_by_logs(rig.storage, Report()).roots}
    assert found["ws/try"].ephemeral == found[f"ws@{ordered[2].id}"].ephemeral == ""
