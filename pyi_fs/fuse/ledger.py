"""What the kernel was told, in memory that outlives the server (decision 0008).

A server that dies leaves nodes that the kernel knows, handles that are open, views that have
numbers. They are noted here while they come and go, and its successor reads them.

    words    8-byte words at the front: the request being answered, how far the log is valid, and
             whatever else has to be a single store (`Word`); behind them, what tasks are answering
             (`fuse/in_flight.py`)
    slots    one 40-byte record for each open handle, behind the words
    pages    counts of lookups, 1,024 nodes a page
    log      keys and values, for what changes seldom: appended by `commit`, all or nothing

Invariants:
- What `commit` wrote counts from the moment the word of the log's end says so; a torn record is
  never read.
- A word is one aligned store: it is old or new.

Only one process writes: the one that serves. `NoLedger` is for mounts that end with their server.
"""

import mmap
import os
import weakref
from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Protocol, TypeAlias

import msgspec

from pyi_fs.errors import FormatUnknownError

VERSION = 4
"""Of all that a successor reads here. A server of another version does not take over."""

Key = int | tuple[int, ...]
Value = Any
Entry = tuple[str, Key, Value]
Words: TypeAlias = "memoryview[int] | array[int]"

_WORDS_BYTES = 4096
_SLOT_BYTES = 40
_ARENA_BYTES = 1 << 20
PAGE_NUMBERS = 1025
"""Of 4 bytes: 1,024 counts and how many of them are not 0."""
# Before each page stands its key, and behind it what makes the next key's place a multiple of 8.
_PAGE_STRIDE = PAGE_NUMBERS + 3
_PAGES_IN_ARENA = _ARENA_BYTES // (4 * _PAGE_STRIDE)
_SLOTS_IN_ARENA = _ARENA_BYTES // _SLOT_BYTES
_LENGTH_BYTES = 4
# A log as long as this is written anew from what is left of it, and again at four times what that
# was.
_COMPACT_BYTES_MIN = 1 << 20
_OTHER = 1 << 63
_FREE = (1 << 64) - 1
_FILES = ("slots", "pages", "log", "other-log")


class Word(IntEnum):
    """The words at the front."""

    VERSION = 0
    REQUEST = 1
    """Number of the request being answered, 0 between two."""
    COUNTED = 2
    """The node it counted last, 0 for none."""
    LOG_END = 3
    """Where the log ends; the highest bit says in which of its two files it is."""
    PAGE_COUNT = 4
    SLOT_COUNT = 5
    CONTROL_LAST = 6
    """The newest node of `.pyi`."""
    VIEW_LAST = 7
    """The newest number of a view."""
    UNANSWERED = 8
    """Servers in a row that ended before they had answered anything."""
    SUSPECT = 9
    """The request during which the last server died, if it died during one."""
    SUSPECT_COUNT = 10
    TAKEOVERS = 11
    CHANGE = 12
    """A request that is not to be done twice; the next three say where its branch was before."""
    CHANGE_VIEW = 13
    CHANGE_LAYER = 14
    CHANGE_OFFSET = 15
    COMMAND = 16
    """The same for a control command, and when the record that it is about to log was made."""
    COMMAND_VIEW = 17
    COMMAND_LAYER = 18
    COMMAND_OFFSET = 19
    COMMAND_LOGS = 20
    HANDLE_LAST = 21
    GONE_LAST = 22
    """The newest view that is kept although it is not among the session's."""
    PASSES_THROUGH = 23
    """1: the kernel has agreed to read files itself."""
    BLAME = 24
    """What the end of the last server says against the requests that it had in flight."""
    OOM_KILLS = 25
    """How many processes the kernel had killed for want of memory when this server began."""


_SLOT_COUNT = Word.SLOT_COUNT.value


class Ledger(Protocol):
    """What the parts of a mount note in."""

    @property
    def words(self) -> "Words":
        """Returns the words, by `Word`."""

    @property
    def survives(self) -> bool:
        """Returns whether anything is kept."""

    @property
    def pending(self) -> Sequence[Entry]:
        """Returns what waits for `commit`."""

    def put(self, table: str, key: Key, value: Value) -> None:
        """Notes a value, or with None that there is none, with the next `commit`."""

    def commit(self) -> None:
        """Keeps all that was put since the last time, or nothing of it if this process dies."""

    def new_page(self, key: int) -> "memoryview[int] | array[int]":
        """Returns a page of `PAGE_NUMBERS` zeros that is kept under a key."""

    def free_page(self, key: int) -> None:
        """Gives a page back."""

    def slot(self, index: int, record: bytes) -> None:
        """Keeps a record of 40 bytes in a slot; slots that were never written hold zeros."""


class NoLedger:
    """Implements `Ledger` for a mount that ends with its server: keeps nothing."""

    survives = False
    pending: Sequence[Entry] = ()

    def __init__(self) -> None:
        """Has words, so that who notes in them need not ask."""
        self.words: Words = array("Q", bytes(_WORDS_BYTES))

    def put(self, table: str, key: Key, value: Value) -> None:
        """Nothing."""

    def commit(self) -> None:
        """Nothing."""

    def new_page(self, key: int) -> "array[int]":  # noqa: ARG002
        """Returns a page that is not kept."""
        return array("I", bytes(4 * PAGE_NUMBERS))

    def free_page(self, key: int) -> None:
        """Nothing."""

    def slot(self, index: int, record: bytes) -> None:
        """Nothing."""


class MemoryLedger:
    """Implements `Ledger` in four memfds, which a holder keeps."""

    survives = True

    def __init__(self, descriptors: tuple[int, ...] | None = None) -> None:
        """Makes an empty one, or opens the one of a server that is dead.

        `FormatUnknownError` if that had another version.
        """
        is_new = descriptors is None
        if descriptors is None:
            descriptors = tuple(os.memfd_create(f"pyi-{name}") for name in _FILES)
        self.descriptors = descriptors
        weakref.finalize(self, _close, descriptors)
        slots, pages, *self._logs = descriptors
        self._slots = _Arenas(slots, _WORDS_BYTES)
        self._pages = _Arenas(pages, 0)
        if is_new:
            os.ftruncate(slots, _WORDS_BYTES)
        self.words: Words = memoryview(mmap.mmap(slots, _WORDS_BYTES)).cast("Q")
        if is_new:
            self.words[Word.VERSION] = VERSION
        elif self.words[Word.VERSION] != VERSION:
            raise FormatUnknownError(
                f"the notes of a mount have version {self.words[Word.VERSION]}, not {VERSION}"
            )
        self._places: dict[int, int] = {}
        self._free_places: list[int] = []
        self._noted: dict[tuple[str, Key], Value] = {}
        # Committed, and not in there yet: nobody waits for that before somebody asks. Bounded by
        # the length of the log, since writing it anew asks.
        self._unnoted: list[Entry] = []
        self.pending: list[Entry] = []
        """What waits for `commit`: an attribute, since every request asks."""
        self._compact_bytes = _COMPACT_BYTES_MIN
        self._load()

    # Keys and values.

    def put(self, table: str, key: Key, value: Value) -> None:
        """Notes a value, or with None that there is none, with the next `commit`."""
        if value is not None or self.pending or (table, key) in self._live:
            self.pending.append((table, key, value))

    def commit(self) -> None:
        """Keeps all that was put since the last time, or nothing of it if this process dies."""
        if not self.pending:
            return
        entries, self.pending = self.pending, []
        self._unnoted += entries
        end = self.words[Word.LOG_END]
        self.words[Word.LOG_END] = self._append(end, entries)
        if end & ~_OTHER > self._compact_bytes:
            self._compact()

    def table(self, table: str) -> dict[Key, Value]:
        """Returns the keys and values of a table, as committed."""
        return {key: value for (name, key), value in self._live.items() if name == table}

    @property
    def _live(self) -> dict[tuple[str, Key], Value]:
        """Returns what counts of all that was committed."""
        noted = self._noted
        if self._unnoted:
            entries, self._unnoted = self._unnoted, []
            for table, key, value in entries:
                if value is None:
                    noted.pop((table, key), None)
                else:
                    noted[table, key] = value
        return noted

    def _append(self, end: int, entries: list[Entry]) -> int:
        """Writes a record at an end; returns the end behind it."""
        payload = msgspec.msgpack.encode(entries)
        record = len(payload).to_bytes(_LENGTH_BYTES, "little") + payload
        file, offset = end & _OTHER, end & ~_OTHER
        os.pwrite(self._logs[bool(file)], record, offset)
        return file | offset + len(record)

    def _compact(self) -> None:
        """Writes what is left of the log to the other file, and gives the first one's memory back.

        The word in between decides which of the two counts.
        """
        old = self.words[Word.LOG_END] & _OTHER
        live = [(table, key, value) for (table, key), value in self._live.items()]
        new = self._append(old ^ _OTHER, live)
        self.words[Word.LOG_END] = new
        os.ftruncate(self._logs[bool(old)], 0)
        self._compact_bytes = max(_COMPACT_BYTES_MIN, 4 * (new & ~_OTHER))

    def _load(self) -> None:
        end = self.words[Word.LOG_END]
        log, position, stop = self._logs[bool(end & _OTHER)], 0, end & ~_OTHER
        while position < stop:
            length = int.from_bytes(os.pread(log, _LENGTH_BYTES, position), "little")
            position += _LENGTH_BYTES
            entries = msgspec.msgpack.decode(os.pread(log, length, position))
            self._unnoted += [(table, _key(key), value) for table, key, value in entries]
            position += length
        for place in range(self.words[Word.PAGE_COUNT]):
            key = self._key_of(place)[0]
            if key == _FREE:
                self._free_places.append(place)
            else:
                self._places[key] = place

    # Pages and slots.

    def new_page(self, key: int) -> "memoryview[int]":
        """Returns a page of `PAGE_NUMBERS` zeros that is kept under a key."""
        place = self._free_places.pop() if self._free_places else self.words[Word.PAGE_COUNT]
        page = self._page(place)
        self._key_of(place)[0] = key
        self.words[Word.PAGE_COUNT] = max(self.words[Word.PAGE_COUNT], place + 1)
        self._places[key] = place
        return page

    def free_page(self, key: int) -> None:
        """Gives a page back, whose counts are all 0."""
        place = self._places.pop(key)
        self._key_of(place)[0] = _FREE
        self._free_places.append(place)

    def kept_pages(self) -> "Iterator[tuple[int, memoryview[int]]]":
        """Yields the pages that a dead server left, with their keys."""
        for key, place in self._places.items():
            yield key, self._page(place)

    def slot(self, index: int, record: bytes) -> None:
        """Keeps a record of 40 bytes in a slot; slots that were never written hold zeros."""
        arena, place = divmod(index, _SLOTS_IN_ARENA)
        start = place * _SLOT_BYTES
        self._slots.arena(arena)[start : start + _SLOT_BYTES] = record
        if index >= self.words[_SLOT_COUNT]:
            self.words[_SLOT_COUNT] = index + 1

    def kept_slots(self) -> Iterator[tuple[int, bytes]]:
        """Yields the slots that a dead server left."""
        for index in range(self.words[Word.SLOT_COUNT]):
            arena, place = divmod(index, _SLOTS_IN_ARENA)
            start = place * _SLOT_BYTES
            yield index, bytes(self._slots.arena(arena)[start : start + _SLOT_BYTES])

    def _page(self, place: int) -> "memoryview[int]":
        arena, index = divmod(place, _PAGES_IN_ARENA)
        start = index * _PAGE_STRIDE + 2
        return self._pages.arena(arena).cast("I")[start : start + PAGE_NUMBERS]

    def _key_of(self, place: int) -> "memoryview[int]":
        arena, index = divmod(place, _PAGES_IN_ARENA)
        start = 4 * index * _PAGE_STRIDE
        return self._pages.arena(arena)[start : start + 8].cast("Q")


class _Arenas:
    """A memfd, mapped a mebibyte at a time as it grows."""

    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._arenas: list[memoryview] = []

    def arena(self, index: int) -> memoryview:
        """Returns one arena; it and those before are there from then on."""
        while len(self._arenas) <= index:
            start = self._start + len(self._arenas) * _ARENA_BYTES
            end = start + _ARENA_BYTES
            if os.fstat(self._descriptor).st_size < end:
                os.ftruncate(self._descriptor, end)
            self._arenas.append(memoryview(mmap.mmap(self._descriptor, _ARENA_BYTES, offset=start)))
        return self._arenas[index]


def _key(key: int | list[int]) -> Key:
    return key if isinstance(key, int) else tuple(key)


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
