"""The scratch of a layer.

File data as it was written, in append-only segments, and what of it can be given back.

Invariants (decision 0001, *Giving scratch back*):
- Data is appended before the journal record that names it; nothing is overwritten in place.
- A range is garbage when a mutation superseded it and no ref can reach it: it lies at or after the
  segment's *ref mark*.
- Garbage that was never synced goes at once; garbage that was synced, or is part of a sync that has
  begun, waits until what superseded it is synced too.
- Only the layer's writer gives back, under the `flock` of the layer's `pins`, and after moving the
  ref marks if somebody pinned.
"""

import errno
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.ids import Buffer, LayerId, SegmentId, segment_id
from pyi_fs.store import layout
from pyi_fs.store.runs import RunTable, check_run, checksums_of
from pyi_fs.store.segment_files import segments_of, sync_file
from pyi_fs.store.storage import AppendFile, Storage


class Appended(NamedTuple):
    """Where an append went."""

    segment: SegmentId
    offset: int
    checksums: bytes


class _Segment:
    """One segment of the layer being written.

    `dead`: sorted disjoint [start, end) ranges that are garbage; `punched`: those of them already
    given back as they stand. `sync_mark`: what lies before it may be durable; `synced`: and this
    is.
    """

    __slots__ = ("dead", "file", "punched", "ref_mark", "runs", "sync_mark", "synced")

    def __init__(self, file: AppendFile) -> None:
        self.file: AppendFile | None = file
        self.runs = RunTable()
        self.ref_mark = 0
        self.sync_mark = 0
        self.synced = 0
        self.dead: list[tuple[int, int]] = []
        self.punched: set[tuple[int, int]] = set()

    def size(self) -> int:
        return self.file.size_bytes if self.file is not None else 0


class Unsynced(NamedTuple):
    """Files that are not durable, and of what segments up to which end."""

    files: list[AppendFile]
    ends: list[tuple[_Segment, AppendFile, int]]


class ScratchWriter:
    """The segments of a layer, held by the writer of its branch."""

    def __init__(
        self,
        storage: Storage,
        layer: LayerId,
        next_index: int = 0,
        *,
        is_first_made: bool = False,
    ) -> None:
        """Continues a layer after its last segment.

        Old segments of the layer are left as they are. `is_first_made`: the file of a new layer's
        first one is there, with nothing in it.
        """
        self._is_first_made = is_first_made
        self._storage = storage
        self._layer = layer
        self._next_index = next_index
        self._segments: dict[SegmentId, _Segment] = {}
        self._current: SegmentId | None = None
        self._waiting: list[tuple[SegmentId, int, int]] = []
        # `sync` and `reclaim` run in threads of their own; the lists below are the only state they
        # share with the owner, who begins a segment without the lock, which may be held for a
        # punch: so what looks at all segments looks at a copy of their list.
        self._garbage_lock = Lock()
        self._pins_seen = storage.size_bytes(layout.pins(layer)) or 0
        # Segments that an earlier writer left, perhaps never synced; or sealed or collected since.
        self._inherited = segments_of(storage, layer) if next_index else []
        self._doubtful: set[str] = set()
        self.has_given_back = bool(next_index)
        """Whether some record of this layer may name bytes that are gone: then its synced note has
        to be durable."""
        self.directory_dirty = False
        self.appended_bytes = 0
        self.returned_bytes = 0
        self.garbage_bytes = 0

    def append(self, data: Buffer) -> Appended:
        """Appends the data of one write to the current segment (a new one when it is full).

        Survives this process.
        """
        current = self._segments[self._current] if self._current is not None else None
        if (
            current is None
            or current.file is None
            or current.file.size_bytes + len(data) > limits.SEGMENT_BYTES_MAX
        ):
            current = self._start_segment()
        assert self._current is not None
        assert current.file is not None
        offset = current.file.append(data)
        checksums = checksums_of(data)
        current.runs.append(offset, len(data), checksums)
        self.appended_bytes += len(data)
        return Appended(self._current, offset, checksums)

    def runs(self, segment: SegmentId) -> RunTable | None:
        """Returns the runs of a segment this writer made, or None."""
        found = self._segments.get(segment)
        return found.runs if found is not None else None

    def file(self, segment: SegmentId) -> AppendFile | None:
        """Returns the open file of a segment this writer made, or None."""
        found = self._segments.get(segment)
        return found.file if found is not None else None

    def mark_refs(self) -> None:
        """Everything appended so far may be reached through a ref: never garbage. O(segments)."""
        with self._garbage_lock:
            for segment in list(self._segments.values()):
                segment.ref_mark = segment.size()
                segment.dead.clear()
            self._waiting.clear()
            self.garbage_bytes = 0

    def supersede(self, segment: SegmentId, offset: int, length: int) -> None:
        """Notes that a range is no longer part of the branch's tree."""
        found = self._segments.get(segment)
        if found is None or offset < found.ref_mark:
            return
        with self._garbage_lock:
            self.garbage_bytes += length
            if offset < found.sync_mark:
                self._waiting.append((segment, offset, length))
            else:
                _add_range(found.dead, offset, offset + length)

    @property
    def has_names(self) -> bool:
        """Returns whether a sync is about more than the content of files that are open here."""
        return bool(self._inherited) or self.directory_dirty

    def begin_sync(self) -> "Unsynced":
        """Returns the files that are not durable; whoever has synced them says so to `end_sync`."""
        with self._garbage_lock:
            found = [
                (state, state.file, state.size())
                for state in list(self._segments.values())
                if state.file is not None and state.size() > state.synced
            ]
        return Unsynced([file for _, file, _ in found], found)

    def end_sync(self, unsynced: "Unsynced", outcomes: Sequence[OSError | None]) -> None:
        """Notes what is durable; raises what a sync has raised."""
        for outcome in outcomes:
            # Sealed or given back in this moment: its bytes are in chunks, or garbage.
            if outcome is not None and outcome.errno != errno.EBADF:
                raise outcome
        for state, _, end in unsynced.ends:
            state.synced = max(state.synced, end)

    def sync(self) -> None:
        """Makes all appended data durable. May run in a thread while the owner appends."""
        for segment in self._inherited:
            with suppress(FileNotFoundError):
                sync_file(self._storage, layout.scratch(segment), self._doubtful)
        self._inherited = []
        unsynced = self.begin_sync()
        self.end_sync(unsynced, self._storage.sync_files(unsynced.files))
        if self.directory_dirty:
            # Before: a segment begun meanwhile is the next one's.
            self.directory_dirty = False
            try:
                self._storage.sync_directory(layout.layer_directory(self._layer))
            except OSError:
                self.directory_dirty = True
                raise

    def write_again(self) -> None:
        """Writes what is not durable and not garbage once more: a sync of it failed.

        `CorruptSegmentError` if it is not there any more. May run in a thread.
        """
        with self._garbage_lock:
            states = list(self._segments.items())
        for segment, state in states:
            if state.file is None:
                continue
            # Up to the last run: what is appended in this moment is written for the first time.
            for start, length, checksum in state.runs.covering(state.synced, state.runs.end) or ():
                with self._garbage_lock:
                    is_dead = any(a <= start and start + length <= b for a, b in state.dead)
                if not is_dead:
                    data = state.file.read_at(start, length)
                    check_run(layout.scratch(segment), start, length, checksum, data)
                    state.file.write_again(start, data)

    def take_waiting(self) -> list[tuple[SegmentId, int, int]]:
        """Begins a sync: returns and forgets the garbage that waits for one.

        `release` its result afterwards.

        From now on what is there is taken for durable: the journal's end that the sync covers is to
        be read after this.
        """
        with self._garbage_lock:
            for state in list(self._segments.values()):
                state.sync_mark = state.size()
            waiting, self._waiting = self._waiting, []
        return waiting

    def keep_waiting(self, waited: list[tuple[SegmentId, int, int]]) -> None:
        """The sync failed: these ranges wait for the next one."""
        with self._garbage_lock:
            self._waiting += waited

    def release(self, waited: list[tuple[SegmentId, int, int]]) -> None:
        """What superseded these ranges is durable now: they may be given back."""
        with self._garbage_lock:
            for segment, offset, length in waited:
                found = self._segments.get(segment)
                if found is not None and offset >= found.ref_mark:
                    _add_range(found.dead, offset, offset + length)

    def plan_reclaim(self, bytes_min: int | None = None) -> list[tuple[SegmentId, int, int]]:
        """Returns ranges to give back: whole segments (offset 0), and those of `bytes_min`."""
        if bytes_min is None:
            bytes_min = limits.PUNCH_BYTES_MIN
        plan = []
        for segment, state in list(self._segments.items()):
            if state.file is None or not state.dead:
                continue
            size = state.file.size_bytes
            if state.dead == [(0, size)] and segment != self._current:
                plan.append((segment, 0, size))
                continue
            # Whole runs only: the checksum of one that is partly alive covers its dead bytes, too.
            runs = [
                state.runs.whole(start, end)
                for start, end in state.dead
                if end - start >= bytes_min
            ]
            plan += [(segment, a, b - a) for a, b in runs if a < b and (a, b) not in state.punched]
        return plan

    def reclaim(self, plan: list[tuple[SegmentId, int, int]], *, wait: bool = True) -> None:
        """Gives ranges back: removes whole segments, punches others.

        May run in a thread while the owner appends. `wait` false: not while others hold the pins.
        """
        if (lock := self._storage.lock(layout.pins(self._layer), wait=wait)) is None:
            return
        try:
            pinned = self._storage.size_bytes(layout.pins(self._layer)) or 0
            if pinned != self._pins_seen:
                self._pins_seen = pinned
                self.mark_refs()
                return
            for segment, offset, length in plan:
                self._give_back(segment, offset, length)
        finally:
            lock.release()

    def closed_segments(self) -> list[tuple[SegmentId, int]]:
        """Returns (segment, size) of the segments that get no more data, oldest first."""
        with self._garbage_lock:
            return [
                (segment, state.size())
                for segment, state in list(self._segments.items())
                if segment != self._current
            ]

    @property
    def has_data(self) -> bool:
        """Returns whether some segment here holds data."""
        return any(state.size() for state in list(self._segments.values()))

    def segments(self) -> list[SegmentId]:
        """Returns the segments this writer has open."""
        return list(self._segments)

    def close_current(self) -> None:
        """The next append starts a new segment."""
        self._current = None

    def hand_over(self, segments: list[SegmentId]) -> None:
        """Writes the runs of closed segments beside them and gives nothing of them back any more.

        A sealer reads them now.
        """
        for segment in segments:
            state = self._segments.get(segment)
            if state is not None and segment != self._current:
                self._storage.write_atomic(
                    layout.runs(segment), [state.runs.encode()], durable=False
                )
                with self._garbage_lock:
                    state.ref_mark = state.size()
                    state.dead.clear()

    def forget(self, segment: SegmentId) -> None:
        """Closes a segment that was sealed: from now on its bytes come from chunks."""
        with self._garbage_lock:
            state = self._segments.pop(segment, None)
        if state is not None and state.file is not None:
            state.file.close()

    def close(self, *, has_runs_beside: bool = True) -> None:
        """Writes the runs of its segments beside them and closes them; syncs nothing.

        `has_runs_beside` False leaves the runs to the journal.
        """
        # Out of sight first: a thread that reads looks elsewhere then.
        segments, self._segments = self._segments, {}
        self._current = None
        for segment, state in segments.items():
            if state.file is not None:
                if has_runs_beside:
                    # The journal has them too: on a full disk they are left out rather than the
                    # restore refused that closes the layer.
                    with suppress(OSError):
                        self._storage.write_atomic(
                            layout.runs(segment), [state.runs.encode()], durable=False
                        )
                state.file.close()

    def _start_segment(self) -> _Segment:
        segment = segment_id(self._layer, self._next_index)
        file = self._first_file(segment) if self._is_first_made else None
        if file is None:
            file = self._storage.open_append(layout.scratch(segment), create=True)
        self._next_index += 1
        self._current = segment
        self.directory_dirty = True
        state = self._segments[segment] = _Segment(file)
        return state

    def _first_file(self, segment: SegmentId) -> AppendFile | None:
        """Returns the file that was made ahead; None if somebody removed it."""
        self._is_first_made = False
        try:
            return self._storage.open_append(layout.scratch(segment))
        except FileNotFoundError:
            return None

    def _give_back(self, segment: SegmentId, offset: int, length: int) -> None:
        # The lock is held for one punch: a ref made since the plan (it takes the lock) saved the
        # range, or comes after it and cannot reach it.
        with self._garbage_lock:
            state = self._segments.get(segment)
            if state is None or state.file is None:
                return
            end = offset + length
            if not any(a <= offset and end <= b for a, b in state.dead):
                return
            # A range grows and is punched again: only what is new comes back.
            back = length - sum(b - a for a, b in state.punched if offset <= a and b <= end)
            if offset == 0 and length == state.file.size_bytes and segment != self._current:
                del self._segments[segment]
                state.file.close()
                self._storage.remove(layout.scratch(segment))
            else:
                state.file.punch(offset, length)
                state.punched = {(a, b) for a, b in state.punched if b <= offset or end <= a}
                state.punched.add((offset, end))
            self.returned_bytes += back
            self.garbage_bytes = max(0, self.garbage_bytes - back)


def _add_range(ranges: list[tuple[int, int]], start: int, end: int) -> None:
    """Adds [start, end) to sorted disjoint ranges, joining neighbours."""
    index = bisect_left(ranges, (start, end))
    if index and ranges[index - 1][1] >= start:
        index -= 1
        start = ranges[index][0]
    stop = index
    while stop < len(ranges) and ranges[stop][0] <= end:
        end = max(end, ranges[stop][1])
        stop += 1
    ranges[index:stop] = [(start, end)]
