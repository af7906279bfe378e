"""Requests that tasks are answering: one of them may be what servers die of.

A request that is answered before the next is read stands in a word of the ledger. Others run beside
each other, for as long as a disk takes; each has a word of its own from its beginning to its
answer. A server that dies leaves them there, and its successor counts: a request that was in flight
at death after death, in a row, is refused.

Which of several it was is found by trying those that a server died with one at a time. A death by
SIGKILL when the kernel was out of memory says half as much as one of our own, one from outside
nothing; and a death without a request sets its count back to nothing.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar, cast

import trio

from pyi_fs.fuse.ledger import MemoryLedger, Word, Words
from pyi_fs.limits import IN_FLIGHT_NOTED_MAX

TABLE = "deaths"
POINTS_MAX = 6
"""A request that has so many is refused: three deaths of our own, or six for want of memory."""
DIED, KILLED = 2, 1
"""What a death says against what was in flight: one of our own, one for want of memory."""
_FIRST = max(Word) + 1
# Not for ever: what is tried may itself wait for one that waits for its turn, in the kernel (a
# command that has the writeback cache flushed, and the fsync of an earlier flush).
_TURN_SECONDS_MAX = 0.5
_T = TypeVar("_T")


class InFlight:
    """Notes in the words of a ledger what tasks are answering."""

    def __init__(self, words: Words) -> None:
        """Goes on with what a dead server left, or begins with nothing."""
        self._words = words
        places = range(_FIRST + IN_FLIGHT_NOTED_MAX - 1, _FIRST - 1, -1)
        self._free = [place for place in places if not words[place]]
        self._turn = trio.Lock()
        self.suspects: Collection[int] = ()
        """Requests that the last server died with: for `tried`."""

    def begin(self, request: int) -> int:
        """Notes a request; returns where, for `end`: 0 if so many are noted that it is not."""
        if not self._free:
            return 0
        place = self._free.pop()
        self._words[place] = request
        return place

    def end(self, place: int) -> None:
        """The request that was noted there is answered."""
        if place:
            self._words[place] = 0
            self._free.append(place)

    async def tried(self, request: int, answer: Callable[[], Awaitable[_T]]) -> _T:
        """Returns an answer; while it is made, no other one is that is made here."""
        is_alone = False
        with trio.move_on_after(_TURN_SECONDS_MAX):
            await self._turn.acquire()
            is_alone = True
        place = self.begin(request)
        try:
            found = await answer()
        except (Exception, trio.Cancelled):
            # An answer, too. What ends this process leaves its place as it is.
            self.end(place)
            raise
        finally:
            if is_alone:
                self._turn.release()
        self.end(place)
        return found


def note_deaths(ledger: MemoryLedger) -> None:
    """Counts the death of the last server against what it had in flight, and nothing else.

    `Word.BLAME` tells how much. What it had in flight is not noted any more: before it is asked for
    again, no death is its fault.
    """
    words = ledger.words
    points, before = words[Word.BLAME], ledger.table(TABLE)
    in_flight = [words[place] for place in range(_FIRST, _FIRST + IN_FLIGHT_NOTED_MAX)]
    for request in before:
        if request not in in_flight:
            ledger.put(TABLE, request, None)
    if points:
        for request in filter(None, in_flight):
            ledger.put(TABLE, request, before.get(request, 0) + points)
    ledger.commit()
    for place in range(_FIRST, _FIRST + IN_FLIGHT_NOTED_MAX):
        words[place] = 0


def suspects(ledger: MemoryLedger) -> Mapping[int, int]:
    """Returns the requests that the last server died with, and their points."""
    return cast(Mapping[int, int], ledger.table(TABLE))
