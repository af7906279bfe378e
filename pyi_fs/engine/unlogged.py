"""Layers that no log names, and why one may be about to be named; see `engine/collector.py`."""

import os

from pyi_fs import limits
from pyi_fs.engine.store import Store
from pyi_fs.errors import InvalidArgumentError, NotFoundError, StoreError
from pyi_fs.format.record import LayerHeader
from pyi_fs.ids import BranchName, LayerId, WorkspaceName
from pyi_fs.model.refs import Refs, check_ref_name
from pyi_fs.store import layout
from pyi_fs.store.journal import read_header
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import Storage

# A fork takes a millisecond from its pin to its log; so long may a machine be stopped in between.
PIN_GUARD_SECONDS = 600


def header_of(store: Store, layer: LayerId) -> LayerHeader | None:
    """Returns a layer's header, or None if it has none that can be read."""
    try:
        return read_header(store.storage, layer)[0]
    except (FileNotFoundError, StoreError):
        return None


class Guard:
    """Says which layers that no log names may be about to be named."""

    def __init__(self, store: Store, known: frozenset[LayerId], now_ns: int) -> None:
        """Asks nothing yet; `known`: layers that were in a log which is gone."""
        self._store = store
        self._known = known
        self._now_ns = now_ns
        self._refs: dict[WorkspaceName, Refs | None] = {}
        self._held: dict[tuple[WorkspaceName, BranchName], bool] = {}

    def is_readable(self, layer: LayerId) -> bool:
        """Returns whether a layer has a header."""
        return header_of(self._store, layer) is not None

    def reason(self, layer: LayerId) -> str | None:
        """Returns why a layer is left alone, or None if it can go."""
        age_seconds = self._age_seconds(layer)
        header = header_of(self._store, layer)
        if header is not None and self.is_being_forked(layer):
            return "a fork of it may be on its way"
        if layer in self._known:
            return None
        if header is not None:
            workspace, branch = WorkspaceName(header.workspace), BranchName(header.branch)
            refs = self._refs_of(workspace)
            if refs is not None and self._is_held(workspace, branch):
                return f"branch '{branch}' of '{workspace}' is in use"
            if refs is not None and 0 < refs.made_ns <= header.created_ns:
                return None
        elif self._store.storage.size_bytes(layout.journal(layer)):
            return "its header cannot be read"
        if age_seconds < limits.UNDO_WINDOW_SECONDS:
            return "a workspace may be about to begin with it"
        return None

    def _refs_of(self, name: WorkspaceName) -> Refs | None:
        if name not in self._refs:
            try:
                # Of a pin or a header: damaged, it is none, and must not become a path.
                log = OperationsLog(self._store.storage, WorkspaceName(check_ref_name(name)))
                log.close()
                self._refs[name] = log.refs
            except (NotFoundError, InvalidArgumentError):
                self._refs[name] = None
            except StoreError:
                # Its layers stay anyway (`engine/held.py`).
                self._refs[name] = Refs()
        return self._refs[name]

    def _is_held(self, workspace: WorkspaceName, branch: BranchName) -> bool:
        key = workspace, branch
        if key not in self._held:
            path = layout.branch_lock(workspace, branch)
            lock = None
            if _is_name(branch) and self._store.storage.exists(path):
                lock = self._store.storage.lock(path, exclusive=False, wait=False)
                self._held[key] = lock is None
            else:
                self._held[key] = False
            if lock is not None:
                lock.release()
        return self._held[key]

    def is_being_forked(self, layer: LayerId) -> bool:
        """Returns whether a fork has pinned a layer and not yet begun its log."""
        path = layout.pins(layer)
        age = self._seconds_since_change(path)
        if age is None or age >= PIN_GUARD_SECONDS:
            return False
        pins = read_pins(self._store.storage, layer)
        names = [line.partition(" ")[0] for line in pins.splitlines()]
        return any(self._refs_of(WorkspaceName(name)) is None for name in names)

    def _age_seconds(self, layer: LayerId) -> float:
        directory = layout.layer_directory(layer)
        paths = [
            directory,
            *(f"{directory}/{name}" for name in self._store.storage.list(directory)),
        ]
        ages = [age for path in paths if (age := self._seconds_since_change(path)) is not None]
        return min(ages, default=0.0)

    def _seconds_since_change(self, path: str) -> float | None:
        try:
            changed_ns = os.stat(self._store.storage.host_path(path)).st_mtime_ns
        except FileNotFoundError:
            return None
        return (self._now_ns - changed_ns) / 1e9


def read_pins(storage: Storage, layer: LayerId) -> str:
    """Returns who says that they start from a layer, one line each; empty if nobody."""
    try:
        return storage.read(layout.pins(layer)).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _is_name(text: str) -> bool:
    try:
        check_ref_name(text)
    except InvalidArgumentError:
        return False
    return True
