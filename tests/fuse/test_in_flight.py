"""What tasks answer is noted while they do: a request that servers die of is found among others."""

import os

import pytest
import trio

from pyi_fs.errors import BusyError
from pyi_fs.fuse.in_flight import DIED, KILLED, POINTS_MAX, TABLE, InFlight, note_deaths, suspects
from pyi_fs.fuse.ledger import MemoryLedger, Word
from pyi_fs.limits import IN_FLIGHT_NOTED_MAX


def died(ledger: MemoryLedger, *requests: int, blame: int = DIED) -> dict[int, int]:
    """Has a server die with requests in flight; returns who is suspected then."""
    flight = InFlight(ledger.words)
    for request in requests:
        flight.begin(request)
    ledger.words[Word.BLAME] = blame
    successor = MemoryLedger(tuple(map(os.dup, ledger.descriptors)))
    note_deaths(successor)
    return dict(suspects(successor))


def test_a_request_in_flight_at_each_death_is_found_and_another_one_is_not():
    ledger = MemoryLedger()
    assert died(ledger, 10, 12) == {10: DIED, 12: DIED}
    ledger = MemoryLedger(tuple(map(os.dup, ledger.descriptors)))
    # The second one has been answered, or waits for its turn.
    assert died(ledger, 10) == {10: 2 * DIED}
    ledger = MemoryLedger(tuple(map(os.dup, ledger.descriptors)))
    assert died(ledger, 10)[10] >= POINTS_MAX
    ledger = MemoryLedger(tuple(map(os.dup, ledger.descriptors)))
    assert died(ledger) == {}
    assert ledger.table(TABLE) != {}


def test_a_kill_says_less_and_a_hand_over_nothing():
    ledger = MemoryLedger()
    assert died(ledger, 10, blame=KILLED) == {10: KILLED}
    assert 3 * KILLED < POINTS_MAX <= 3 * DIED
    assert died(MemoryLedger(), 10, blame=0) == {}


def test_what_is_answered_is_not_noted_any_more():
    ledger = MemoryLedger()
    flight = InFlight(ledger.words)
    places = [flight.begin(request) for request in range(2, 2 * IN_FLIGHT_NOTED_MAX + 2, 2)]
    assert flight.begin(5_000) == 0
    flight.end(0)
    for place in places[1:]:
        flight.end(place)
    assert died(ledger) == {2: DIED}
    again = InFlight(ledger.words)
    assert all(again.begin(request) for request in range(2, 2 * IN_FLIGHT_NOTED_MAX + 2, 2))


async def test_suspects_are_tried_one_at_a_time(autojump_clock):
    flight, at_once, most = InFlight(MemoryLedger().words), 0, 0

    async def answer() -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(0.01)
        at_once -= 1
        return 5

    async with trio.open_nursery() as nursery:
        for request in range(2, 12, 2):
            nursery.start_soon(flight.tried, request, answer)
    assert most == 1


async def test_one_that_waits_for_another_is_not_waited_for_for_ever(autojump_clock):
    flight, second_ran = InFlight(MemoryLedger().words), trio.Event()

    async def second() -> None:
        second_ran.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flight.tried, 2, second_ran.wait)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(flight.tried, 4, second)


async def test_a_refusal_is_an_answer_and_an_end_of_the_process_is_none():
    ledger = MemoryLedger()
    flight = InFlight(ledger.words)

    async def refuse() -> None:
        raise BusyError

    async def end() -> None:
        raise SystemExit

    with pytest.raises(BusyError):
        await flight.tried(2, refuse)
    with pytest.raises(SystemExit):
        await flight.tried(4, end)
    assert died(ledger) == {4: DIED}
