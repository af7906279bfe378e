"""The journal of a layer: append, sync and replay frames.

Invariants:
- Frames are appended by the one process that holds the branch's lock; others read.
- What `append` returned for survives `kill -9`; what `sync` returned for survives power loss.
- A torn last frame is normal: it is what a killed writer leaves, and is cut off by the next writer.
  A bad frame before the last sync is damage: `CorruptRecordError`. `synced` notes how far that is:
  16-byte entries (offset u64, XXH3-64 of it), the last valid one counts; `noted` has the same from
  processes that are not the writer. It can only be too low; where scratch was given back it must
  not be (the checks after a power loss start from it), so there it is synced too.
"""

import struct
from collections.abc import Iterator
from functools import partial
from threading import Lock

from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptRecordError, FormatUnknownError
from pyi_fs.format.record import (
    LayerHeader,
    decode_header,
    decode_mutation,
    encode_frame,
    encode_header,
    frames,
)
from pyi_fs.ids import LayerId
from pyi_fs.model.mutation import Mutation
from pyi_fs.store import layout
from pyi_fs.store.framed import boundary_of, frames_of
from pyi_fs.store.reserve import with_reserve
from pyi_fs.store.storage import AppendFile, Storage

_SYNCED = struct.Struct("<QQ")
# The note is written anew, as one entry, when it has grown to this.
_SYNCED_BYTES_MAX = 64 * 1024


def journal_seed(layer: LayerId) -> int:
    """Returns the checksum seed of a layer's journal."""
    return layer << 20


class JournalWriter:
    """The end of a layer's journal, held by the writer of its branch."""

    def __init__(
        self,
        storage: Storage,
        layer: LayerId,
        file: AppendFile,
        synced_file: AppendFile | None = None,
    ) -> None:
        """Takes over open files whose torn tail has been cut; use `create` or `resume`.

        Without a `synced_file` the first sync makes it: most layers of experiments see none, and
        making a file takes longer than a write into it.
        """
        self._storage = storage
        self._layer = layer
        self._seed = journal_seed(layer)
        self._file = file
        self._synced_file = synced_file
        self.synced_bytes = 0
        # Where records begin that may be taken back: no sync counts them.
        self._held: int | None = None
        # What `sync` noted, and how much of that is durable itself; a sync and a reclaim may run in
        # two threads.
        self._note_lock = Lock()
        self._noted = self._noted_durably = 0
        self._is_note_doubtful = False

    @classmethod
    def create(
        cls, storage: Storage, header: LayerHeader, *, is_made: bool = False
    ) -> "JournalWriter":
        """Makes the journal of a new layer, whose directory is there; nothing is durable yet.

        `is_made`: its file is there, too, with nothing in it.
        """
        layer = header.layer
        file = storage.open_append(layout.journal(layer), create=not is_made)
        writer = cls(storage, layer, file)
        try:
            writer.append(encode_header(header))
        except OSError:
            writer.close()
            raise
        return writer

    @classmethod
    def resume(cls, storage: Storage, layer: LayerId, valid_bytes: int) -> "JournalWriter":
        """Opens a journal for more frames after its valid end, cutting off a torn tail."""
        file = storage.open_append(layout.journal(layer))
        if file.size_bytes > valid_bytes:
            file.truncate(valid_bytes)
        if not storage.exists(layout.synced(layer)):
            storage.open_append(layout.synced(layer), create=True).close()
        writer = cls(storage, layer, file, storage.open_append(layout.synced(layer)))
        writer.synced_bytes = min(read_synced(storage, layer), valid_bytes)
        # Who wrote the note may have died before it was durable.
        writer.note(writer.synced_bytes)
        return writer

    def make_note(self) -> None:
        """Makes the file of the note unless it is there: before the names of a layer are synced."""
        if self._synced_file is None:
            path = layout.synced(self._layer)
            make = partial(self._storage.open_append, path, create=True)
            # Who waits for a sync on a full disk is about to give something back.
            self._synced_file = with_reserve(self._storage, make)

    @property
    def end(self) -> int:
        """Returns the offset one past the last frame."""
        return self._file.size_bytes

    @property
    def settled_end(self) -> int:
        """Returns the end of what will not be taken back."""
        held = self._held
        return held if held is not None else self._file.size_bytes

    def hold(self) -> None:
        """What is appended from now on may be taken back, until `settle`."""
        self._held = self._file.size_bytes

    def settle(self) -> None:
        """What was appended since `hold` stays."""
        self._held = None

    def take_back(self) -> None:
        """Cuts off what was appended since `hold`: nobody has been told of it."""
        assert self._held is not None, "BUG: takes back what was settled"
        self._file.truncate(self._held)
        self._held = None

    def append(self, payload: bytes) -> int:
        """Appends a frame; returns the journal's new end. Survives the death of this process."""
        self._file.append(encode_frame(payload, self._file.size_bytes, self._seed))
        return self._file.size_bytes

    def sync(self, end: int | None = None) -> int:
        """Makes everything appended before the call durable; returns the offset up to which.

        But for what is held. May run in a thread.

        `end` notes no more than that as synced: what lies beyond may name data that is not durable
        yet.
        """
        end = self.settled_end if end is None else end
        if end > self.synced_bytes:
            self._file.sync()
            self.synced(end)
        return end

    def file_to_sync(self, end: int) -> AppendFile | None:
        """Returns the file, unless it is durable up to `end`; whoever synced it calls `synced`."""
        return self._file if end > self.synced_bytes else None

    def synced(self, end: int) -> None:
        """The file was synced since it ended at `end`, and so was what its records name."""
        self.note(end)
        self.synced_bytes = end

    def write_again(self) -> None:
        """Writes what is not durable once more: a sync of it failed.

        `CorruptRecordError` if it is not there any more.
        """
        start, size = self.synced_bytes, self.settled_end
        data = self._file.read_at(start, size - start)
        ends = [end for end, _ in frames(data, self._seed, base=start)]
        end = ends[-1] if ends else start
        if end != size:
            path = layout.journal(self._layer)
            raise CorruptRecordError(path, end, f"records up to {size}", "lost by a failed sync")
        self._file.write_again(start, data)

    def sync_note(self) -> None:
        """Makes the note of the last sync durable.

        Needed where something that the journal names was given back.
        """
        with self._note_lock:
            if self._noted > self._noted_durably:
                assert self._synced_file is not None, "BUG: noted without a file"
                if self._is_note_doubtful:
                    self._synced_file.append(_synced_entry(self._layer, self._noted))
                self._is_note_doubtful = True
                self._synced_file.sync()
                self._is_note_doubtful = False
                self._noted_durably = self._noted

    def note(self, end: int) -> None:
        """Notes that the journal is durable up to `end`."""
        with self._note_lock:
            self.make_note()
            assert self._synced_file is not None
            entry = _synced_entry(self._layer, end)
            if self._synced_file.size_bytes < _SYNCED_BYTES_MAX:
                with_reserve(self._storage, partial(self._synced_file.append, entry))
                self._noted = end
                return
            # Not cut to nothing and begun again: a power loss in between would leave no note at
            # all.
            self._storage.write_atomic(layout.synced(self._layer), [entry])
            self._synced_file.close()
            self._synced_file = self._storage.open_append(layout.synced(self._layer))
            self._noted = self._noted_durably = end

    def close(self) -> None:
        """Closes the files; syncs nothing."""
        self._file.close()
        if self._synced_file is not None:
            self._synced_file.close()


def _synced_entry(layer: LayerId, end: int) -> bytes:
    return _SYNCED.pack(end, xxh3_64_intdigest(end.to_bytes(8, "little"), journal_seed(layer)))


def note_elsewhere(storage: Storage, layer: LayerId, end: int) -> None:
    """Notes durably that somebody else than the layer's writer made it durable up to `end`."""
    lock = storage.lock(layout.pins(layer))
    assert lock is not None
    try:
        write_note(storage, layer, end)
    finally:
        lock.release()


def write_note(storage: Storage, layer: LayerId, end: int) -> None:
    """Does what `note_elsewhere` does; the caller holds the `flock` of the layer's `pins`."""
    if _read_note(storage, layer, layout.noted(layer)) < end:
        storage.write_atomic(layout.noted(layer), [_synced_entry(layer, end)])


def read_synced(storage: Storage, layer: LayerId) -> int:
    """Returns up to where a layer's journal is known to have been durable (0: unknown)."""
    return max(
        _read_note(storage, layer, layout.synced(layer)),
        _read_note(storage, layer, layout.noted(layer)),
    )


def _read_note(storage: Storage, layer: LayerId, path: str) -> int:
    try:
        data = storage.read(path)
    except FileNotFoundError:
        return 0
    seed = journal_seed(layer)
    for start in range(len(data) // _SYNCED.size * _SYNCED.size - _SYNCED.size, -1, -_SYNCED.size):
        offset, checksum = _SYNCED.unpack_from(data, start)
        if xxh3_64_intdigest(offset.to_bytes(8, "little"), seed) == checksum:
            return int(offset)
    return 0


def read_header(storage: Storage, layer: LayerId) -> tuple[LayerHeader, int]:
    """Returns a layer's header and the offset of the first mutation.

    `FormatUnknownError` if it is torn.
    """
    file = storage.open_read(layout.journal(layer))
    try:
        data = file.read_at(0, 4096)
    finally:
        file.close()
    for end, payload in frames(data, journal_seed(layer)):
        header = decode_header(payload)
        if header.layer != layer:
            raise FormatUnknownError(f"{layout.journal(layer)}: the header of another layer")
        return header, end
    raise FormatUnknownError(f"{layout.journal(layer)}: no valid header")


def replay(
    storage: Storage, layer: LayerId, start: int, stop: int | None = None
) -> Iterator[tuple[int, Mutation]]:
    """Yields (end offset, mutation) of the frames in `[start, stop)`; `start` 0 skips the header.

    With `stop` None the valid end is where frames stop being valid, and a stop before the last sync
    is an alarm. With a `stop` the same holds up to it.
    """
    # Before the data: a writer elsewhere may append and sync between the two reads.
    required = read_synced(storage, layer) if stop is None else None
    end = start
    file = storage.open_read(layout.journal(layer))
    try:
        size = file.size_bytes()
        last = size if stop is None else min(stop, size)
        for end, payload in frames_of(file, journal_seed(layer), start, last):
            if start == 0 and payload and decode_is_header(payload):
                continue
            yield end, decode_mutation(payload)
    finally:
        file.close()
    if stop is not None and end < stop:
        # What is missing was appended before the caller knew of it, so the note may be read now.
        required = min(stop, read_synced(storage, layer))
    if required is not None and end < required:
        # Not a torn tail: these bytes were durable once.
        raise CorruptRecordError(
            layout.journal(layer), end, f"a frame (synced to {required})", "damage"
        )


def decode_is_header(payload: bytes) -> bool:
    """Returns whether a payload is a layer's header (an array whose first element is 100)."""
    return len(payload) > 1 and payload[0] & 0xF0 == 0x90 and payload[1] == 100


def last_boundary(storage: Storage, layer: LayerId) -> int:
    """Returns the end of the last whole frame of a journal, while its writer may be appending.

    Follows lengths only: no checksum, about 0.2 us a frame. For cuts (a fork) made by another
    process.
    """
    file = storage.open_read(layout.journal(layer))
    try:
        return boundary_of(file, file.size_bytes())
    finally:
        file.close()
