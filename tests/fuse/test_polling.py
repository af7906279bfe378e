"""Loops that share a process: who polls sees the requests of others, and lets them have a turn."""

import os
from typing import Any

import pytest
import trio
import trio.testing

from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.polling_tokens import PollingTokens


@pytest.fixture
def polling(tmp_path):
    polling = Polling(PollingTokens(1, places=(str(tmp_path),)))
    yield polling
    polling.tokens.close()


@pytest.fixture
def devices():
    """Gives two pipes in the place of devices: (reading end, writing end) of each."""
    pipes = [os.pipe(), os.pipe()]
    yield pipes
    for pipe in pipes:
        for end in pipe:
            os.close(end)


async def waited(facade: Facade, device: int) -> bool:
    """Returns whether waiting for a device yielded to other tasks."""
    try:
        with trio.testing.assert_no_checkpoints():
            await facade.lowlevel.wait_readable(device)
    except AssertionError:
        return True
    return False


async def both_known(polling: Polling, devices: Any) -> list[Facade]:
    """Returns two loops that have waited for their devices, which have nothing more to be read."""
    facades = [Facade(1000, polling) for _ in devices]
    for facade, (reading, writing) in zip(facades, devices, strict=True):
        os.write(writing, b"x")
        await facade.lowlevel.wait_readable(reading)
        os.read(reading, 1)
    return facades


async def test_a_loop_alone_does_not_yield_while_requests_come(polling, devices):
    (reading, writing), _ = devices
    facade = Facade(1000, polling)
    os.write(writing, b"xx")
    assert not await waited(facade, reading)
    assert not polling.is_shared
    os.read(reading, 2)
    assert facade.is_ready(reading)


async def test_a_loop_yields_at_once_to_a_request_of_another(polling, devices):
    facades = await both_known(polling, devices)
    assert polling.is_shared
    for _, writing in devices:
        os.write(writing, b"x")
    # Both have one: each waits, so each gets its turn.
    for facade, (reading, _) in zip(facades, devices, strict=True):
        assert await waited(facade, reading)
        # Whose turn it is has to be looked at each time.
        assert not facade.is_ready(reading)
    os.read(devices[1][0], 1)
    assert not await waited(facades[0], devices[0][0])


async def test_polling_ends_when_another_has_a_request(polling, devices, monkeypatch):
    """The clock stands still: without the other's request this would poll for ever."""
    facades = await both_known(polling, devices)
    (first, _), (second, writing) = devices
    polls: list[object] = []
    really = polling.poll

    def poll(timeout: float) -> Any:
        polls.append(timeout)
        if len(polls) == 5:
            os.write(writing, b"x")
        return really(timeout)

    monkeypatch.setattr(polling, "poll", poll)
    monkeypatch.setattr("pyi_fs.fuse.facade.time.perf_counter", lambda: 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(facades[0].lowlevel.wait_readable, first)
        await trio.testing.wait_all_tasks_blocked()
        assert len(polls) == 5
        assert not polling.tokens.is_held
        assert await waited(facades[1], second) is False
        nursery.cancel_scope.cancel()


async def test_a_task_of_one_keeps_all_from_polling(polling, devices):
    facades = await both_known(polling, devices)
    facades[0].begin_task()
    os.write(devices[1][1], b"x")
    assert await waited(facades[1], devices[1][0])
    facades[0].end_task()
    assert not await waited(facades[1], devices[1][0])


async def test_a_loop_that_has_ended_is_not_looked_at_and_the_last_gives_the_token_back(
    polling, devices
):
    facades = await both_known(polling, devices)
    os.write(devices[1][1], b"x")
    facades[1].close()
    assert not polling.is_shared
    os.write(devices[0][1], b"x")
    assert not await waited(facades[0], devices[0][0])
    assert polling.tokens.take()
    facades[0].close()
    assert not polling.tokens.is_held
    assert not polling.tokens.take()
