"""Group commit: how many syncs it takes, and whom each of them answers."""

import pytest
import trio

from pyi_fs.fuse.syncing import GroupSync


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
