"""What was last found out about who holds how much: one small file in each workspace.

So that `status` can say it without reading a store. Written where somebody looks anyway
(`pyi-store ls`, `info`) and after each collection; not durable. Bounded: of branches the first
`NAMES_MAX` by name, of snapshots as many of the newest.
"""

import time
from contextlib import suppress

import msgspec

from pyi_fs.engine.store import Store
from pyi_fs.engine.usage import (
    Progress,
    RefUsage,
    StoreUsage,
    Usage,
    WorkspaceUsage,
    log_bytes_of,
    usage,
)
from pyi_fs.errors import StoreError
from pyi_fs.ids import WorkspaceName
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

NAMES_MAX = 100


class Sizes(msgspec.Struct, frozen=True):
    """Bytes; see `engine/usage.py`."""

    own_bytes: int
    shared_bytes: int
    frees_bytes: int


class Record(msgspec.Struct, frozen=True):
    """What a workspace held at a moment. `undo`: what only undo can come back to."""

    time_ns: int
    undo: Sizes
    branches: dict[str, Sizes]
    snapshots: dict[str, Sizes]


_decode = msgspec.json.Decoder(Record).decode


def read_usage(storage: Storage, workspace: WorkspaceName) -> Record | None:
    """Returns what was last found out about a workspace, or None if nothing is known."""
    try:
        return _decode(storage.read(layout.usage_record(workspace)))
    except (OSError, msgspec.MsgspecError):
        return None


def noted_usage(store: Store, progress: Progress = lambda _: None) -> StoreUsage:
    """Returns who holds what, as `usage`, and notes it in every workspace. O(store)."""
    found = usage(store, progress)
    return found._replace(
        workspaces=tuple(_noted(store.storage, workspace) for workspace in found.workspaces)
    )


def note_usage(store: Store) -> None:
    """Notes who holds what; where damage hides it, nothing."""
    with suppress(StoreError, OSError):
        noted_usage(store)


def _noted(storage: Storage, found: WorkspaceUsage) -> WorkspaceUsage:
    record = Record(
        time.time_ns(),
        _sizes(found.undo),
        _by_name(found.branches[:NAMES_MAX]),
        _by_name(found.snapshots[-NAMES_MAX:]),
    )
    # A store that cannot be written, or is full, or a workspace removed meanwhile: no harm.
    with suppress(OSError):
        if storage.exists(layout.operations_log(found.name)):
            data = msgspec.json.encode(record)
            storage.write_atomic(layout.usage_record(found.name), [data, b"\n"], durable=False)
    # The note is the workspace's own, too.
    log_bytes = log_bytes_of(storage, found.name)
    frees_bytes = found.held.frees_bytes + log_bytes - found.log_bytes
    held = found.held._replace(frees_bytes=frees_bytes)
    return found._replace(held=held, log_bytes=log_bytes)


def _by_name(refs: tuple[RefUsage, ...]) -> dict[str, Sizes]:
    return {ref.name: _sizes(ref.held) for ref in refs}


def _sizes(held: Usage) -> Sizes:
    return Sizes(held.own_bytes, held.shared_bytes, held.frees_bytes)
