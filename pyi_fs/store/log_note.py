"""How far an operations log was durable once: `synced` beside it.

Entries of 16 bytes (offset u64, XXH3-64 of it), of which the last valid one counts; the file is
replaced when it has grown. It is itself not synced, and the last entry may be smaller than one
before it: what it says can only be too low. Its existence says more: where it is and no log, the
log was lost (`docs/on-disk-format.md`).

Appended to and not replaced each time: to make a file and rename it takes as long as a sync.
"""

import struct

from xxhash import xxh3_64_intdigest

from pyi_fs.ids import WorkspaceName
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

NOTE_BYTES_MAX = 4096
LOG_SEED = 0x6C6F67
"""Of the checksums of the log and of its note."""
_ENTRY = struct.Struct("<QQ")


def _entry(end: int) -> bytes:
    return _ENTRY.pack(end, xxh3_64_intdigest(end.to_bytes(8, "little"), LOG_SEED))


def begin_note(storage: Storage, workspace: WorkspaceName, end: int) -> None:
    """Notes that a new log is durable up to `end`. Not durable; `OSError`."""
    storage.write_atomic(layout.log_synced(workspace), [_entry(end)], durable=False)


def add_to_note(storage: Storage, workspace: WorkspaceName, end: int) -> None:
    """Notes that a log is durable up to `end`; it is the caller's turn at the log.

    Not durable; `OSError`.
    """
    path = layout.log_synced(workspace)
    size = storage.size_bytes(path)
    # What a power loss tore would put all that follows out of step.
    if size is None or size >= NOTE_BYTES_MAX or size % _ENTRY.size:
        begin_note(storage, workspace, end)
        return
    file = storage.open_append(path)
    try:
        file.append(_entry(end))
    finally:
        file.close()


def read_log_synced(storage: Storage, workspace: WorkspaceName) -> int:
    """Returns up to where a log was durable once, as far as that was noted; 0 if it was not."""
    try:
        data = storage.read(layout.log_synced(workspace))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for start in range(len(data) // _ENTRY.size * _ENTRY.size - _ENTRY.size, -1, -_ENTRY.size):
        entry = data[start : start + _ENTRY.size]
        end: int = _ENTRY.unpack(entry)[0]
        if entry == _entry(end):
            return end
    return 0
