"""What the handlers share."""

import errno

import pytest

from pyi_fs.errors import ReadOnlyError
from tests.support.fuse_rig import OWNER, ROOT


async def test_every_branch_that_is_shown_tells_the_mount_what_it_publishes(rig):
    await rig.command("branch", "other")
    view = rig.session.views[rig.node(".pyi/branches/other") >> 40]
    assert rig.branch.listener is rig.state.publication
    assert view.branch.listener is rig.state.publication


async def test_only_live_views_can_be_written(rig):
    rig.make(ROOT, "f")
    assert rig.state.branch_of(rig.session.root) is rig.branch
    view = rig.session.view_of_snapshot(rig.session.workspace.find_snapshot(await rig.snapshot()))
    with pytest.raises(ReadOnlyError):
        rig.state.branch_of(view)


async def test_a_view_is_unused_when_nothing_of_it_is_known_or_open(rig):
    await rig.command("branch", "other")
    rig.make(ROOT, "f")
    root = rig.node(".pyi/branches/other")
    view = rig.session.views[root >> 40]
    made = rig.names.make(root, b"g", 0o100644, OWNER)
    handle = rig.open(made.node, 1)
    assert not rig.state.is_unused(view)
    rig.reaper.forget([(root, 1000), (made.node, 1000)])
    assert not rig.state.is_unused(view)
    rig.reaper.release(handle)
    assert rig.state.is_unused(view)
    rig.session.let_go(view)
    assert rig.look(".pyi/branches/other/g") is not None


async def test_the_kernel_is_flushed_before_control_requests(rig):
    order = []

    async def flush():
        order.append("flush")

    rig.state.flush_kernel = flush
    await rig.write("f", b"1")
    assert order == []
    await rig.snapshot()
    assert order == ["flush"]
    await rig.command("branch", "other")
    assert order == ["flush"] * 2
    await rig.names.make_directory(rig.node(".pyi/snapshots"), b"kept", 0o040755, OWNER)
    assert order == ["flush"] * 3


async def test_a_flush_that_failed_is_told_until_somebody_was_refused_for_it(rig):
    """The kernel tells it once: a poll of status took it, and the next snapshot had less."""
    state, failures = rig.state, [OSError(errno.ENOSPC, "full")]

    async def flush():
        if failures:
            raise failures.pop()

    state.flush_kernel = flush
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            await state.before_control()
        assert state.unwritten == "No space left on device"
    # What is flushed at intervals tells only what is new.
    await state.flush()
    state.told_unwritten()
    await state.before_control()
    assert state.unwritten is None
