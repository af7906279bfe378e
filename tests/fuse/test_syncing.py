"""Group commit: how many syncs it takes, and whom each of them answers."""

import os

import pytest
import trio

from pyi_fs.fuse.syncing import GroupSync
from tests.support.mounting import mounted


class SlowBranch:
    """A branch whose syncs take as long as the test wants."""

    def __init__(self):
        self.started = 0
        self.finish = trio.Event()
        self.error = None

    def sync(self):
        raise AssertionError("called through the loop below")


def group_of(branch):
    async def run(function):
        assert function == branch.sync
        branch.started += 1
        await branch.finish.wait()
        if branch.error is not None:
            raise branch.error

    return GroupSync(run)


async def test_requests_that_arrive_during_a_sync_share_the_next(autojump_clock):
    branch = SlowBranch()
    group = group_of(branch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.sync, branch)
        await trio.testing.wait_all_tasks_blocked()
        assert branch.started == 1
        for _ in range(5):
            nursery.start_soon(group.sync, branch)
        await trio.testing.wait_all_tasks_blocked()
        assert branch.started == 1
        branch.finish.set()
    assert branch.started == 2
    await group.sync(branch)
    assert branch.started == 3


async def test_everyone_of_a_failed_sync_hears_of_it():
    branch = SlowBranch()
    branch.error = OSError(5, "disk")
    group = group_of(branch)
    failed = []

    async def ask():
        with pytest.raises(OSError, match="disk"):
            await group.sync(branch)
        failed.append(True)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        branch.finish.set()
    assert len(failed) == 3
    branch.error = None
    await group.sync(branch)


async def test_a_request_that_is_cancelled_leaves_the_others_their_sync():
    branch = SlowBranch()
    group = group_of(branch)
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def give_up():
            with first:
                await group.sync(branch)

        nursery.start_soon(give_up)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(group.sync, branch)
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        branch.finish.set()
    assert branch.started == 2


@pytest.mark.mount
@pytest.mark.slow
def test_a_write_that_asks_for_it_is_durable_when_it_returns(tmp_path, writeback):
    """O_SYNC, O_DSYNC and RWF_DSYNC: the kernel sends an `fsync` after the write, and waits."""

    def synced() -> list[bytes]:
        return [file.read_bytes() for file in (tmp_path / "store").glob("layers/*/*/synced")]

    def syncs_with(open_flags: int, write_flags: int) -> bool:
        descriptor = os.open(mount.path / "f", os.O_WRONLY | open_flags)
        before = synced()
        os.pwritev(descriptor, [b"data"], 0, write_flags)
        after = synced()
        os.close(descriptor)
        return after != before

    with mounted(tmp_path, writeback=writeback, sync_interval=1000.0) as mount:
        (mount.path / "f").write_bytes(b"x")
        asked = [(os.O_SYNC, 0), (os.O_DSYNC, 0), (0, os.RWF_DSYNC), (0, os.RWF_SYNC)]
        assert [syncs_with(*flags) for flags in asked] == [True] * 4
        assert not syncs_with(0, 0)
