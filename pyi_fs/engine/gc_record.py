"""What the last collection of a store did: one small file in it, for people and for the next one.

Not durable: without it a collection comes a little early.
"""

import msgspec

from pyi_fs.store import layout
from pyi_fs.store.storage import Storage


class Record(msgspec.Struct, frozen=True):
    """The last collection.

    `reason`: why it was made. `held_bytes`: layers and packs afterwards; `free_bytes`: the room on
    the disk then; `missing_bytes`: by how much a budget was missed; `notes`: what was left as it is
    and why.
    """

    began_ns: int
    ended_ns: int
    reason: str
    snapshots: int
    layers: int
    packs: int
    freed_bytes: int
    held_bytes: int
    free_bytes: int
    missing_bytes: int = 0
    notes: tuple[str, ...] = ()


_NOTES_MAX = 20
_decode = msgspec.json.Decoder(Record).decode


def read_record(storage: Storage) -> Record | None:
    """Returns what the last collection did, or None if none is known of."""
    try:
        return _decode(storage.read(layout.COLLECTOR_RECORD))
    except (OSError, msgspec.MsgspecError):
        return None


def write_record(storage: Storage, record: Record) -> None:
    """Replaces the record."""
    short = msgspec.structs.replace(record, notes=record.notes[:_NOTES_MAX])
    data = msgspec.json.encode(short)
    storage.write_atomic(layout.COLLECTOR_RECORD, [data, b"\n"], durable=False)
