"""What is told to kernels with and without epochs."""

import pytest
import trio
import trio.testing

from pyi_fs.fuse.invalidation import NAMES_TOLD_MAX, Invalidation
from pyi_fs.ids import NodeId
from tests.support.fuse_rig import ROOT, NotingKernel, run_in_thread


async def test_with_epochs_names_need_not_be_told():
    kernel = NotingKernel()
    invalidation = Invalidation(kernel, run_in_thread)
    assert not invalidation.wants_names
    invalidation.all_names()
    invalidation.attributes(NodeId(7))
    assert kernel.epochs == 1
    assert kernel.changed == [7]
    await invalidation.settled()
    assert kernel.entries == []


async def test_without_epochs_names_are_told_when_it_is_waited_for():
    kernel = NotingKernel(has_epoch=False)
    invalidation = Invalidation(kernel, run_in_thread)
    assert invalidation.wants_names
    invalidation.all_names()
    invalidation.names([(ROOT, b"a"), (ROOT, b"b")])
    assert kernel.entries == []
    await invalidation.settled()
    assert kernel.epochs == 0
    assert kernel.entries == [(1, b"a"), (1, b"b")]


async def test_names_that_did_not_change_are_spared_while_that_is_wanted():
    kernel = NotingKernel()
    invalidation = Invalidation(kernel, run_in_thread)
    invalidation.spares_names = lambda: True
    assert invalidation.wants_names
    invalidation.names([(ROOT, b"%d" % number) for number in range(NAMES_TOLD_MAX)])
    await invalidation.settled()
    assert (len(kernel.entries), kernel.epochs) == (NAMES_TOLD_MAX, 0)


async def test_who_waits_waits_for_what_another_one_is_telling():
    """The first to wait takes the names of both along, and is still telling them."""
    kernel, telling, told = NotingKernel(has_epoch=False), trio.Event(), trio.Event()

    async def in_thread(tell):
        telling.set()
        await told.wait()
        tell()

    invalidation = Invalidation(kernel, in_thread)
    done = []

    async def wait():
        await invalidation.settled()
        done.append(len(kernel.entries))

    async with trio.open_nursery() as nursery:
        invalidation.names([(ROOT, b"a")])
        nursery.start_soon(wait)
        await telling.wait()
        assert not invalidation.is_settled
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert done == []
        told.set()
    assert done == [1, 1]
    assert invalidation.is_settled


@pytest.mark.parametrize("has_epoch", [True, False])
async def test_very_many_names_are_forgotten_at_once_where_the_kernel_can(has_epoch):
    kernel = NotingKernel(has_epoch=has_epoch)
    invalidation = Invalidation(kernel, run_in_thread)
    invalidation.spares_names = lambda: True
    invalidation.names([(ROOT, b"%d" % number) for number in range(NAMES_TOLD_MAX + 1)])
    await invalidation.settled()
    told = (kernel.epochs, len(kernel.entries))
    assert told == ((1, 0) if has_epoch else (0, NAMES_TOLD_MAX + 1))
