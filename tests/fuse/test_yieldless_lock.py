"""A lock without a yield where it is free, and without anybody forgotten where it is not."""

import trio
import trio.testing

from pyi_fs.fuse.yieldless_lock import YieldlessLock


async def test_a_free_lock_is_taken_without_a_yield():
    lock = YieldlessLock()
    with trio.testing.assert_no_checkpoints():
        async with lock:
            pass


async def test_waiters_get_the_lock_in_order_and_may_give_up():
    lock, order = YieldlessLock(), []

    async def want(name, scope):
        with scope:
            async with lock:
                order.append(name)

    scopes = {name: trio.CancelScope() for name in "abc"}
    async with trio.open_nursery() as nursery, lock:
        for name, scope in scopes.items():
            nursery.start_soon(want, name, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes["b"].cancel()
        await trio.testing.wait_all_tasks_blocked()
    assert order == ["a", "c"]
    with trio.testing.assert_no_checkpoints():
        async with lock:
            pass


async def test_a_cancelled_waiter_that_had_its_turn_passes_it_on():
    lock, got = YieldlessLock(), []
    scope = trio.CancelScope()

    async def first():
        with scope:
            async with lock:
                got.append("first")

    async def second():
        async with lock:
            got.append("second")

    async with trio.open_nursery() as nursery:
        async with lock:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(second)
            await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    assert got[-1] == "second"


async def test_who_comes_back_before_it_yields_takes_the_lock_again():
    """As pyfuse3's reader that has answered at once; who waits gets it when the holder yields."""
    lock, got = YieldlessLock(), []

    async def other():
        async with lock:
            got.append("other")

    async with trio.open_nursery() as nursery:
        async with lock:
            nursery.start_soon(other)
            await trio.testing.wait_all_tasks_blocked()
        with trio.testing.assert_no_checkpoints():
            for _ in range(3):
                async with lock:
                    pass
        async with lock:
            # The other one was woken, and waits on.
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
        await trio.testing.wait_all_tasks_blocked()
        assert got == ["other"]


async def test_who_was_woken_for_nothing_stays_the_first_in_the_queue():
    lock, got = YieldlessLock(), []

    async def want(name):
        async with lock:
            got.append(name)

    async with trio.open_nursery() as nursery:
        async with lock:
            for name in "ab":
                nursery.start_soon(want, name)
                await trio.testing.wait_all_tasks_blocked()
        async with lock:
            await trio.testing.wait_all_tasks_blocked()
    assert got == ["a", "b"]
