"""The event loop as pyfuse3 sees it: polling that is bounded and fair."""

import itertools
import os

import pytest
import trio
import trio.testing

from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.polling_tokens import PollingTokens

NO_TOKENS = PollingTokens(0)


@pytest.fixture
def device():
    """Gives a pipe in the place of the device."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture
def tokens(tmp_path):
    """Gives the share of a mount in the machine's only token."""
    tokens = PollingTokens(1, places=(str(tmp_path),))
    yield tokens
    tokens.close()


@pytest.fixture
def neighbour(tmp_path):
    """Gives the share of another mount."""
    tokens = PollingTokens(1, places=(str(tmp_path),))
    yield tokens
    tokens.close()


async def test_a_request_that_is_there_is_taken_without_a_yield_but_every_64th(device):
    reading, writing = device
    os.write(writing, b"x")
    facade = Facade(0, Polling(NO_TOKENS))
    yields = 0

    class Count(trio.abc.Instrument):
        def task_scheduled(self, task):
            nonlocal yields
            yields += 1

    count = Count()
    trio.lowlevel.add_instrument(count)
    for _ in range(640):
        await facade.lowlevel.wait_readable(reading)
    trio.lowlevel.remove_instrument(count)
    assert yields == 10


async def test_other_tasks_run_while_a_thread_is_out(device):
    reading, writing = device
    os.write(writing, b"x")
    facade = Facade(0, Polling(NO_TOKENS))
    release = trio.Event()

    def leave_and_come_back():
        trio.from_thread.run(release.wait)
        return 7

    answers = []

    async def ask():
        answers.append(await facade.run_in_thread(leave_and_come_back))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        with trio.testing.assert_checkpoints():
            await facade.lowlevel.wait_readable(reading)
        release.set()
    assert answers == [7]
    with trio.testing.assert_no_checkpoints():
        await facade.lowlevel.wait_readable(reading)


class Clock:
    """A clock that goes on by 20 us whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 20e-6
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock by which the loop polls."""
    made = Clock()
    monkeypatch.setattr("pyi_fs.fuse.facade.time.perf_counter", made)
    return made


async def test_polling_stops_when_it_finds_nothing_and_begins_again(device, clock, tokens):
    reading, writing = device
    facade = Facade(100, Polling(tokens))
    spent = []
    for _ in range(8):
        async with trio.open_nursery() as nursery:
            before = clock.now
            nursery.start_soon(facade.lowlevel.wait_readable, reading)
            await trio.testing.wait_all_tasks_blocked()
            spent.append(clock.now - before)
            clock.now += 1.0
            os.write(writing, b"x")
        os.read(reading, 1)
    # Four waits began with 100 us of polling, the others with none.
    assert [seconds > 90e-6 for seconds in spent] == [True] * 4 + [False] * 4
    async with trio.open_nursery() as nursery:
        nursery.start_soon(facade.lowlevel.wait_readable, reading)
        await trio.testing.wait_all_tasks_blocked()
        os.write(writing, b"x")
    # That one came soon: polling is worth it again.
    os.read(reading, 1)
    async with trio.open_nursery() as nursery:
        before = clock.now
        nursery.start_soon(facade.lowlevel.wait_readable, reading)
        await trio.testing.wait_all_tasks_blocked()
        assert clock.now - before > 90e-6
        os.write(writing, b"x")


async def test_polling_in_vain_takes_twice_as_many_close_requests_each_time(device, clock, tokens):
    reading, writing = device
    facade = Facade(100, Polling(tokens))
    polled = []
    for _ in range(4 + 1 + 4 + 2 + 4 + 4 + 4):
        async with trio.open_nursery() as nursery:
            before = clock.now
            nursery.start_soon(facade.lowlevel.wait_readable, reading)
            # As where the client waits for this core: its request comes when the loop sleeps.
            await trio.testing.wait_all_tasks_blocked()
            polled.append(clock.now - before > 90e-6)
            os.write(writing, b"x")
        os.read(reading, 1)
    runs = [(is_polled, len(list(run))) for is_polled, run in itertools.groupby(polled)]
    assert runs == [(True, 4), (False, 1), (True, 4), (False, 2), (True, 4), (False, 4), (True, 4)]


@pytest.fixture
def polled(device, monkeypatch):
    """Has a request come while the loop polls for it, once; the loop's clock runs by calls."""
    _, writing = device
    now, is_due = 0.0, True

    def clock():
        nonlocal now, is_due
        now += 20e-6
        if is_due:
            is_due = False
            os.write(writing, b"x")
        return now

    monkeypatch.setattr("pyi_fs.fuse.facade.time.perf_counter", clock)


async def test_who_polls_holds_a_token_until_it_sleeps(device, polled, tokens, neighbour):
    reading, writing = device
    facade = Facade(100, Polling(tokens))
    await facade.lowlevel.wait_readable(reading)
    assert tokens.is_held
    assert not neighbour.take()
    os.read(reading, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(facade.lowlevel.wait_readable, reading)
        await trio.testing.wait_all_tasks_blocked()
        assert neighbour.take()
        os.write(writing, b"x")


async def test_a_mount_that_is_never_without_requests_gives_others_a_turn(
    device, polled, tokens, neighbour
):
    reading, _ = device
    facade = Facade(100, Polling(tokens))
    for _ in range(63):
        await facade.lowlevel.wait_readable(reading)
    assert tokens.is_held
    await facade.lowlevel.wait_readable(reading)
    assert neighbour.take()


async def test_a_mount_without_a_token_sleeps_at_once_and_asks_again(
    device, monkeypatch, tokens, neighbour
):
    reading, writing = device
    asked = []

    def clock():
        asked.append(0.0)
        return 0.0

    monkeypatch.setattr("pyi_fs.fuse.facade.time.perf_counter", clock)
    facade = Facade(100, Polling(tokens))
    assert neighbour.take()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(facade.lowlevel.wait_readable, reading)
        await trio.testing.wait_all_tasks_blocked()
        # The moment at which it went to sleep, and no other.
        assert len(asked) == 1
        neighbour.give_back()
        os.write(writing, b"x")
    monkeypatch.undo()
    os.read(reading, 1)
    taken = []

    def take():
        taken.append(PollingTokens.take(tokens))
        return False

    monkeypatch.setattr(tokens, "take", take)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(facade.lowlevel.wait_readable, reading)
        await trio.testing.wait_all_tasks_blocked()
        os.write(writing, b"x")
    assert taken == [True]


async def test_a_request_that_is_there_needs_no_token(device, tokens):
    reading, writing = device
    os.write(writing, b"x")
    await Facade(100, Polling(tokens)).lowlevel.wait_readable(reading)
    assert not tokens.is_held


async def test_where_the_last_request_was_there_at_once_the_next_is_likely(device):
    reading, writing = device
    facade = Facade(0, Polling(NO_TOKENS))
    assert not facade.is_ready(reading)
    os.write(writing, b"x")
    assert facade.is_ready(reading)
    os.read(reading, 1)
    assert facade.is_ready(reading)
    assert facade.is_ready(reading)
    facade.begin_task()
    assert not facade.is_ready(reading)
    facade.end_task()
    assert facade.is_ready(reading)
    facade.was_not_ready()
    assert not facade.is_ready(reading)


async def test_who_waits_is_told_only_of_what_is_there(device):
    reading, writing = device
    facade = Facade(0, Polling(NO_TOKENS))
    os.write(writing, b"x")
    await facade.lowlevel.wait_readable(reading)
    os.read(reading, 1)
    assert facade.is_ready(reading)
    with pytest.raises(trio.TooSlowError), trio.fail_after(0):
        await facade.lowlevel.wait_readable(reading)


async def test_every_64th_request_is_waited_for_all_the_same(device):
    reading, writing = device
    os.write(writing, b"x")
    facade = Facade(0, Polling(NO_TOKENS))
    with trio.testing.assert_no_checkpoints():
        for _ in range(63):
            assert facade.is_ready(reading)
        assert not facade.is_ready(reading)
    with trio.testing.assert_checkpoints():
        await facade.sleep(reading)


async def test_everything_else_is_trios():
    facade = Facade(0, Polling(NO_TOKENS))
    assert facade.open_nursery is trio.open_nursery
    assert facade.ClosedResourceError is trio.ClosedResourceError
    assert facade.lowlevel.current_task() is trio.lowlevel.current_task()


async def test_the_hook_before_waiting_is_called_until_it_is_done(device):
    reading, writing = device
    os.write(writing, b"x")
    answers = [False, False, True]
    facade = Facade(0, Polling(NO_TOKENS), before_wait=lambda: answers.pop(0))
    for _ in range(5):
        await facade.lowlevel.wait_readable(reading)
    assert answers == []


async def test_what_is_put_off_is_done_before_the_loop_sleeps_or_lets_others_run(device):
    reading, writing = device
    done = []
    facade = Facade(50, Polling(NO_TOKENS))
    facade.before_sleep = lambda: done.append(facade)
    os.write(writing, b"x")
    for _ in range(63):
        await facade.lowlevel.wait_readable(reading)
    assert done == []
    await facade.lowlevel.wait_readable(reading)
    assert len(done) == 1
    os.read(reading, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(facade.lowlevel.wait_readable, reading)
        await trio.testing.wait_all_tasks_blocked()
        assert len(done) == 2
        os.write(writing, b"x")
