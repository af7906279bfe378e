"""What is told to kernels with and without epochs."""

from pyi_fs.fuse.invalidation import Invalidation
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
    invalidation.name(ROOT, b"a")
    invalidation.name(ROOT, b"b")
    assert kernel.entries == []
    await invalidation.settled()
    assert kernel.epochs == 0
    assert kernel.entries == [(1, b"a"), (1, b"b")]
