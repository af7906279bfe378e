"""Branches get layers that the log knows, and inode numbers that nobody else in it gets."""

import pytest

from pyi_fs.engine.services import LayerServices
from pyi_fs.errors import NoSpaceError, NotFoundError
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position
from pyi_fs.limits import INODE_NUMBER_MAX
from pyi_fs.model.operation import Continue, Operation
from pyi_fs.store import layout
from pyi_fs.store.journal import read_synced
from pyi_fs.store.oplog import OperationsLog
from tests.support.workspaces import NAME, Rig

MAIN = BranchName("main")


@pytest.fixture
def services(workspace: Rig) -> LayerServices:
    return services_of(workspace)


def services_of(rig: Rig) -> LayerServices:
    return LayerServices(rig.store.layers, rig.workspace.log, NAME, rig.store.layers.boot)


def layers_in(rig: Rig) -> set[LayerId]:
    return {
        layer
        for prefix in rig.storage.list(layout.LAYERS)
        for name in rig.storage.list(f"{layout.LAYERS}/{prefix}")
        if (layer := layout.layer_of(name)) is not None
    }


def test_inode_ranges_of_two_processes_never_overlap(workspace: Rig) -> None:
    other = Rig(workspace.storage, NAME, clock=workspace.clock)
    taken: list[int] = []
    for rig, count in ((workspace, 5), (other, 7), (other, 1), (workspace, 300)):
        first, end = services_of(rig).reserve_inodes(count)
        assert end - first == count
        taken += range(first, end)
    assert len(taken) == len(set(taken))
    assert min(taken) >= 2
    other.close()


def test_numbers_that_branches_of_two_processes_give_out_differ(workspace: Rig) -> None:
    workspace.workspace.make_branch("side", workspace.main)
    other = Rig(workspace.storage, NAME, clock=workspace.clock)
    mine = {workspace.main.next_inode() for _ in range(600)}
    theirs = {other.branch("side").next_inode() for _ in range(600)}
    mine |= {workspace.main.next_inode() for _ in range(600)}
    assert not mine & theirs
    assert (len(mine), len(theirs)) == (1200, 600)
    other.close()


def test_a_number_that_is_reserved_beyond_is_never_given_out(services: LayerServices) -> None:
    first, _ = services.reserve_inodes(1)
    services.reserve_beyond(InodeNumber(first + 1000))
    assert services.reserve_inodes(1)[0] == first + 1001
    services.reserve_beyond(InodeNumber(first))
    assert services.reserve_inodes(1)[0] == first + 1002


def test_numbers_end_at_the_limit_and_the_rest_can_still_be_had(workspace: Rig) -> None:
    services = services_of(workspace)
    services.reserve_beyond(InodeNumber(INODE_NUMBER_MAX - 11))
    count = workspace.workspace.refs.operation_count
    with pytest.raises(NoSpaceError, match="all inode numbers"):
        services.reserve_inodes(11)
    assert workspace.workspace.refs.operation_count == count
    assert services.reserve_inodes(10) == (INODE_NUMBER_MAX - 10, INODE_NUMBER_MAX)
    with pytest.raises(NoSpaceError):
        services.reserve_inodes(1)


def test_a_new_layer_names_its_parent_and_is_in_the_log(workspace: Rig) -> None:
    workspace.make("a")
    start = workspace.main.position
    workspace.workspace.make_branch("side", workspace.main)
    side = BranchName("side")
    services = services_of(workspace)
    writer = services.open_layer(side, start, resumable=False)
    header = workspace.store.layers.header(writer.layer)
    assert (header.parent, header.root) == (start, None)
    assert (header.workspace, header.branch) == (NAME, side)
    assert header.boot == workspace.store.layers.boot
    assert writer.end == workspace.store.layers.start(writer.layer)
    *_, (_, last) = workspace.workspace.log.operations()
    assert last == Continue(side, writer.layer)
    assert workspace.workspace.refs.branch("side").layer == writer.layer
    services.close_writer(writer)
    assert workspace.store.layers.writer_of(writer.layer) is None


def test_a_layer_that_may_be_appended_to_goes_on_without_a_new_one(workspace: Rig) -> None:
    workspace.make("a")
    position = workspace.main.position
    workspace.workspace.close_branch(workspace.main)
    layers, count = layers_in(workspace), workspace.workspace.refs.operation_count
    services = services_of(workspace)
    writer = services.open_layer(MAIN, position, resumable=True)
    assert Position(writer.layer, writer.end) == position
    services.close_writer(writer)
    assert (layers_in(workspace), workspace.workspace.refs.operation_count) == (layers, count)


def test_a_branch_opens_its_layer_at_the_first_write_and_once(workspace: Rig) -> None:
    before = layers_in(workspace)
    branch = workspace.main
    assert (branch.writer, layers_in(workspace)) == (None, before)
    for name in ("a", "b", "c"):
        workspace.make(name, b"data")
    assert workspace.branch("main") is branch
    assert layers_in(workspace) - before == {branch.position.layer}
    opened = [done for _, done in workspace.workspace.log.operations() if type(done) is Continue]
    assert opened == [Continue(MAIN, branch.position.layer)]


def test_a_layer_that_the_log_does_not_take_leaves_nothing(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, before = workspace.main.position, layers_in(workspace)

    def full(_log: OperationsLog, _decide: object) -> Operation:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(OperationsLog, "append", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                services_of(workspace).open_layer(MAIN, start, resumable=False)
    assert layers_in(workspace) == before
    workspace.make("a")
    assert len(layers_in(workspace)) == len(before) + 1


def test_syncing_a_position_syncs_what_it_starts_from(workspace: Rig) -> None:
    workspace.make("a", b"data")
    parent = workspace.main.position
    workspace.workspace.make_branch("side", workspace.main)
    workspace.make("b", on="side")
    child = workspace.branch("side").position
    services = services_of(workspace)
    services.sync_parents(child.layer)
    assert read_synced(workspace.storage, parent.layer) == parent.offset
    assert read_synced(workspace.storage, child.layer) < child.offset
    services.sync_position(child)
    assert read_synced(workspace.storage, child.layer) == child.offset
    with pytest.raises(NotFoundError):
        services.sync_parents(LayerId(77))


def test_the_log_is_durable_after_its_sync(workspace: Rig) -> None:
    workspace.make("a")
    workspace.snapshot()
    assert not workspace.workspace.log.is_synced
    services_of(workspace).sync_log()
    assert workspace.workspace.log.is_synced
