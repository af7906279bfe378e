"""Which places nobody can come back to."""

import time

import pytest

from pyi_fs.engine.given_up import KEPT_NS, GivenUp
from pyi_fs.ids import BranchName, LayerId, Position
from tests.support.workspaces import Rig

TRY = BranchName("try")


@pytest.fixture
def rig(tiered: Rig) -> Rig:
    tiered.make("a", b"a")
    for name, is_ephemeral in (("try", True), ("durable", False)):
        tiered.workspace.make_branch(name, tiered.main, ephemeral=is_ephemeral)
        tiered.make(name, b"x", on=name)
        tiered.snapshot(on=name)
    return tiered


def given_up(rig: Rig, now_ns: int | None = None) -> GivenUp:
    return GivenUp(
        rig.workspace.refresh(), rig.store.layers, now_ns or time.time_ns() + 2 * KEPT_NS
    )


def test_only_what_an_ephemeral_branch_left_a_while_ago(rig: Rig) -> None:
    position = rig.branch("try").position
    durable = rig.branch("durable").position
    now_ns = time.time_ns()
    assert not given_up(rig).has(TRY, now_ns, position)
    rig.workspace.drop_branch("try")
    rig.workspace.drop_branch("durable")
    assert given_up(rig).has(TRY, now_ns, position)
    assert not given_up(rig, time.time_ns()).has(TRY, now_ns, position)
    assert not given_up(rig).has(TRY, now_ns, durable)
    assert not given_up(rig).has(BranchName("durable"), now_ns, durable)
    assert not given_up(rig).has(BranchName("nobody"), now_ns, position)
    assert not given_up(rig).has(TRY, now_ns, Position(LayerId(1), 1))
    assert [one.branch for one in given_up(rig).snapshots()] == ["try"]


def test_what_an_earlier_branch_of_the_name_left(rig: Rig) -> None:
    position = rig.branch("try").position
    before_ns = time.time_ns()
    rig.workspace.drop_branch("try")
    rig.workspace.make_branch("try", rig.main)
    assert given_up(rig).has(TRY, before_ns, position)
    assert not given_up(rig).has(TRY, before_ns, rig.branch("durable").position)
    assert not given_up(rig).has(TRY, time.time_ns(), rig.branch("try").position)
