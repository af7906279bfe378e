"""The handles that were open when a server died, made again from what it noted of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pyi_fs.control.view import View
from pyi_fs.errors import PyiError
from pyi_fs.fuse.controls import ControlHandlers
from pyi_fs.fuse.handles import (
    ControlFile,
    FileHandle,
    Handle,
    HandleId,
    KeptHandle,
    Kind,
    ListingHandle,
)
from pyi_fs.fuse.ledger import Key, MemoryLedger
from pyi_fs.ids import InodeNumber


class KeptHandles(NamedTuple):
    """Handles by id, and by the request that opened them."""

    handles: dict[HandleId, Handle]
    opened: dict[int, HandleId]


def slots(ledger: MemoryLedger) -> list[KeptHandle]:
    """Returns what was noted of the handles that are open."""
    records = (KeptHandle.read(record) for _, record in ledger.kept_slots())
    return [kept for kept in records if kept is not None]


def kept_handles(
    ledger: MemoryLedger, views: Mapping[int, View], controls: ControlHandlers
) -> KeptHandles:
    """Returns the handles; without those of what is not there any more, which are stale."""
    moved, names, answers = (ledger.table(name) for name in ("moved", "names", "answers"))
    backings = ledger.table("backing")
    handles: dict[HandleId, Handle] = {}
    opened: dict[int, HandleId] = {}
    for kept in slots(ledger):
        handle = _made(kept, moved.get(kept.id), views, controls)
        if handle is not None:
            handles[kept.id] = handle
            opened[kept.request] = kept.id
    for table, found in (("moved", moved), ("answers", answers), ("backing", backings)):
        for key in found:
            _note(handles, cast(HandleId, key), table, key)
    for key, state in answers.items():
        control = handles.get(cast(HandleId, key))
        if isinstance(control, ControlFile):
            control.control.restore(state)
    for key, backing in backings.items():
        file = handles.get(cast(HandleId, key))
        if isinstance(file, FileHandle):
            file.backing = backing
    _restore_listings(handles, names)
    return KeptHandles(handles, opened)


def _note(handles: Mapping[HandleId, Handle], handle_id: HandleId, table: str, key: Key) -> None:
    if handle_id in handles:
        handles[handle_id].noted |= {(table, key)}


def _made(
    kept: KeptHandle,
    moved: list[int] | None,
    views: Mapping[int, View],
    controls: ControlHandlers,
) -> Handle | None:
    if kept.kind in (Kind.CONTROL_FILE, Kind.CONTROL_LISTING):
        try:
            is_file = kept.kind == Kind.CONTROL_FILE
            return controls.reopened(kept.node, kept.number, is_file=is_file)
        except PyiError:
            return None
    place, number = moved if moved is not None else (kept.view, kept.number)
    view = views.get(place)
    if view is None:
        return None
    if kept.kind == Kind.LISTING:
        try:
            return ListingHandle(view, InodeNumber(number), kept.node)
        except PyiError:
            # Its tree is not there any more: a reason to fail that listing, not the mount.
            return None
    return FileHandle(
        view,
        InodeNumber(number),
        kept.node,
        writable=kept.writable,
        privileged=kept.privileged,
    )


def _restore_listings(handles: Mapping[HandleId, Handle], names: Mapping[Key, Any]) -> None:
    """Goes on behind the names that were given out, batch by batch."""
    given: dict[HandleId, list[bytes]] = {}
    for key in sorted(cast(Mapping[tuple[int, int], Any], names)):
        handle_id = HandleId(key[0])
        given.setdefault(handle_id, []).extend(names[key].split(b"/")[:-1])
        _note(handles, handle_id, "names", key)
    for handle_id, batches in given.items():
        listing = handles.get(handle_id)
        if isinstance(listing, ListingHandle):
            listing.go_on_after(batches)
