"""Copying a layer from memory to disk, and taking it out of memory.

A copy is made append by append, in the order in which a layer is written, so that at any moment
what is on disk is what a power loss leaves of a layer that was not synced: a prefix. Memory hides
it until the layer leaves memory. A layer may be copied while its writer appends, and again when it
has grown.

Invariants:
- Only what a record up to the position names is copied: after it a failed append may be undone and
  something else written in its place.
- Who copies holds the `flock` of the layer's `pins` in memory: nothing is given back meanwhile, and
  a pin made later finds the layer where it is then.

Source: `docs/decisions/0004-ephemeral-branches.md`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from pyi_fs.format.record import LayerHeader
from pyi_fs.ids import LayerId, SegmentId, segment_layer
from pyi_fs.model.mutation import Write
from pyi_fs.store import layout
from pyi_fs.store.journal import last_boundary, read_synced, replay, write_note
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, AppendFile, LockFile, Storage

MEMORY_BOOT = "memory"
"""The boot in the header of a layer that was made in memory: what a disk has of it is a copy."""
SPILLED_BOOT = "spilled "
"""Before the boot in the header of a layer on disk whose parents may be in memory."""

_COPY_BYTES = 1 << 20
_REMOVED = ".removed"


def is_in_memory(storage: Storage, layer: LayerId) -> bool:
    """Returns whether a layer is in memory, copied to disk or not."""
    memory = storage.memory
    return memory is not None and memory.exists(layout.layer_directory(layer))


def is_ephemeral(header: LayerHeader) -> bool:
    """Returns whether an ephemeral branch wrote a layer: nothing durable may stand on it as is."""
    return header.boot == MEMORY_BOOT or header.boot.startswith(SPILLED_BOOT)


def is_of_boot(storage: Storage, layer: LayerId, header: LayerHeader, boot: str) -> bool:
    """Returns whether a layer was written in a boot, and so has lost nothing by itself since."""
    if header.boot == MEMORY_BOOT:
        return is_in_memory(storage, layer)
    return header.boot.removeprefix(SPILLED_BOOT) == boot


def promote(
    storage: Storage, layer: LayerId, end: int, newest: Callable[[], int], *, copied: int = 0
) -> None:
    """Copies a layer in memory to disk up to an offset, durable on return; it stays in memory.

    Up to its newest end, that is: what a writer superseded since `end` it may have given back, and
    only what refs or pins protect is there for older positions. Its parents, and layers it has
    bytes of, are the caller's business. Nothing happens if it has left memory: then it is on disk.
    `copied`: the caller copied it up to this record before, which nobody takes back. BLOCKS.
    """
    memory, disk = storage.memory, storage.disk
    if memory is None:
        return
    with _held(memory, layer) as lock:
        if lock is None or read_synced(disk, layer) >= end:
            return
        end = max(end, newest())
        directory = layout.layer_directory(layer)
        disk.make_directory(directory, parents=True)
        _copy_pins(disk, layer, lock.read_text())
        for segment, size_bytes in sorted(_named_bytes(memory, layer, copied, end).items()):
            _extend(memory, disk, layout.scratch(segment), size_bytes)
        for path in (directory, directory.rpartition("/")[0], layout.LAYERS):
            disk.sync_directory(path)
        _cut_what_differs(memory, disk, layout.journal(layer), copied)
        _extend(memory, disk, layout.journal(layer), end)
        disk.sync_directory(directory)
        write_note(disk, layer, end)
        with suppress(OSError):
            # In memory it only spares the next one a look; memory may be full.
            write_note(memory, layer, end)


def leave_memory(
    storage: Storage, layer: LayerId, clear_left: Callable[[str], None] | None = None
) -> bool:
    """Takes a layer that nobody writes any more out of memory; False if disk has not all of it.

    `clear_left` is called with its directory, which has another name by then; without it that is
    removed at once, which takes 0.2 s for a gigabyte.
    """
    memory, disk = storage.memory, storage.disk
    if memory is None:
        return True
    directory = layout.layer_directory(layer)
    with _held(memory, layer) as lock:
        if lock is None:
            return True
        if read_synced(disk, layer) < last_boundary(memory, layer):
            return False
        _copy_pins(disk, layer, lock.read_text())
        memory.rename(directory, directory + _REMOVED)
    if clear_left is not None:
        clear_left(directory + _REMOVED)
    else:
        clear(memory, directory + _REMOVED)
    return True


def clear(storage: Storage, directory: str) -> None:
    """Removes the directory of a layer, whatever it is called by now, with its files."""
    for name in storage.list(directory):
        storage.remove(f"{directory}/{name}")
    storage.remove_directory(directory)


@contextmanager
def _held(memory: Storage, layer: LayerId) -> Iterator[LockFile | None]:
    """Holds the pins of a layer in memory; gives None if it has left memory."""
    try:
        lock = memory.lock(layout.pins(layer))
    except FileNotFoundError:
        yield None
        return
    assert lock is not None, "BUG: waited and did not get the lock"
    try:
        yield lock if memory.exists(layout.layer_directory(layer)) else None
    finally:
        lock.release()


def _copy_pins(disk: Storage, layer: LayerId, text: str) -> None:
    if text:
        lock = disk.lock(layout.pins(layer))
        assert lock is not None, "BUG: waited and did not get the lock"
        try:
            lock.write_text(text)
        finally:
            lock.release()


def _named_bytes(memory: Storage, layer: LayerId, start: int, end: int) -> dict[SegmentId, int]:
    """Returns how much of each segment the records in `[start, end)` name."""
    named: dict[SegmentId, int] = defaultdict(int)
    for _, mutation in replay(memory, layer, start, end):
        if type(mutation) is Write and segment_layer(mutation.segment) == layer:
            stop = mutation.source_offset + mutation.length
            named[mutation.segment] = max(named[mutation.segment], stop)
    return named


def _cut_what_differs(source: Storage, target: Storage, path: str, start: int) -> None:
    """Cuts off a copy of a journal what its writer took back since; up to `start` it is equal."""
    if not target.exists(path):
        return
    with closing(source.open_read(path)) as new, closing(target.open_append(path)) as copy:
        while start < copy.size_bytes:
            length = min(_COPY_BYTES, copy.size_bytes - start)
            old_bytes, new_bytes = copy.read_at(start, length), new.read_at(start, length)
            if old_bytes != new_bytes:
                pairs = enumerate(zip(old_bytes, new_bytes, strict=False))
                shorter = min(len(old_bytes), len(new_bytes))
                copy.truncate(start + next((i for i, (old, now) in pairs if old != now), shorter))
                copy.sync()
                return
            start += length


def _extend(source: Storage, target: Storage, path: str, size_bytes: int) -> None:
    """Appends what a copy lacks of the first `size_bytes` of a file; durable on return.

    A segment that was given back as a whole is not there: then nobody reaches it.
    """
    try:
        file = source.open_read(path)
    except FileNotFoundError:
        return
    try:
        copy = target.open_append(path, create=not target.exists(path))
        try:
            while copy.size_bytes < size_bytes:
                start = copy.size_bytes
                data = file.read_at(start, min(_COPY_BYTES, size_bytes - start))
                if not data:
                    break
                _append(copy, data)
            copy.sync()
        finally:
            copy.close()
    finally:
        file.close()


def _append(copy: AppendFile, data: bytes) -> None:
    """Appends data; what was given back takes no room on disk either."""
    start = copy.append(data)
    if len(data) >= PUNCH_BLOCK_BYTES and data.count(0) == len(data):
        copy.punch(start, len(data))
