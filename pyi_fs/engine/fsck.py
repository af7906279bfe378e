"""Looks for damage: reads everything a store promises and says what is not as it was written.

Changes nothing, takes no lock.

Order: logs, then journals, then everything else. A log names a position after the journal has it,
so a store that is written meanwhile never looks damaged; what a running process may have had half
done is looked at twice.

Findings never come as exceptions: a damaged byte may make any decoder do anything, and every one of
these is caught where its file is known.
"""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import cast

from pyi_fs.engine.findings import Finding, Report
from pyi_fs.engine.fsck_chunks import ChunkCheck, examine_pack_names
from pyi_fs.engine.fsck_layers import examine_layer, read_headers, scan_journals
from pyi_fs.engine.fsck_objects import examine_objects
from pyi_fs.engine.fsck_plain import examine_plain
from pyi_fs.engine.fsck_roots import Root, promised_by_logs
from pyi_fs.engine.fsck_scratch import ScratchCheck
from pyi_fs.engine.fsck_trees import TreeCheck
from pyi_fs.engine.history import History
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.store import STORE_VERSION, Store, boot_id
from pyi_fs.errors import ForeignFileError
from pyi_fs.ids import LayerId, layer_name
from pyi_fs.store import layout
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import LOCK_PATH, ChunkIndex
from pyi_fs.store.layers import Layers
from pyi_fs.store.memory import MemoryDirectory
from pyi_fs.store.plain_files import PLAIN
from pyi_fs.store.storage import TEMPORARY_SUFFIX, Storage
from pyi_fs.store.survival import Survival
from pyi_fs.store.tiers import TieredStorage

Progress = Callable[[str], None]

_TOP = {
    layout.FORMAT,
    layout.LAYERS,
    layout.WORKSPACES,
    "packs",
    layout.INDEX,
    layout.INDEX + "-wal",
    layout.INDEX + "-shm",
    LOCK_PATH,
    layout.CHUNKS_LOCK,
    layout.COLLECTOR_LOCK,
    layout.RESERVE,
    layout.COLLECTOR_RECORD,
    layout.COLLECTOR_SETTINGS,
    layout.LEASES,
    PLAIN,
    # Of the command lines: who is mounted where, and what they logged.
    "mounts",
    "logs",
}
_REMOVED = ".removed"


def check_store(
    store: Store, *, verify_data: bool, progress: Progress | None = None
) -> list[Finding]:
    """Returns what is wrong with an open store, errors first; empty if nothing is.

    Never raises on damage.

    O(trees of all refs); with `verify_data` every byte of a pack and every run that some tree names
    is read, too. `progress` gets the name of each file. The store may be mounted and written
    meanwhile.
    """
    report = Report(progress)
    _check(store.storage, store.index, report, verify_data=verify_data)
    return report.findings()


def check_directory(
    path: Path, *, verify_data: bool, progress: Progress | None = None
) -> list[Finding]:
    """Returns what `check_store` does, also for a store that is too damaged to be opened."""
    report = Report(progress)
    directory = MemoryDirectory(path)
    storage = TieredStorage(DirectoryStorage(path), directory.find)
    index: ChunkIndex | None = None
    with report.examining("index", layout.INDEX):
        if storage.exists(layout.INDEX):
            index = _opened_index(storage, report)
        else:
            report.add("warning", "index", layout.INDEX, "no index: it is made anew from the packs")
    try:
        _check(storage, index, report, verify_data=verify_data)
    except ForeignFileError as error:
        # A directory that is a link, say: what is behind it is not the store's.
        report.add("error", "stray", error.file, f"{error}; nothing after it was looked at")
    finally:
        if index is not None:
            index.close()
        directory.close()
    return report.findings()


def _opened_index(storage: Storage, report: Report) -> ChunkIndex | None:
    """Returns the index, or None if it cannot be read since the disk is read-only."""
    read_only = False
    while True:
        try:
            return ChunkIndex(storage, read_only=read_only)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
        if read_only:
            text = "cannot be read on a read-only disk: the packs were asked instead"
            report.add("note", "index", layout.INDEX, text)
            return None
        read_only = True


def _check(
    storage: Storage, index: ChunkIndex | None, report: Report, *, verify_data: bool
) -> None:
    with report.examining("format", layout.FORMAT):
        line = storage.read(layout.FORMAT).decode(errors="replace")
        if line != f"pyi-fs store {STORE_VERSION}\n":
            report.add("error", "format", layout.FORMAT, f"says {line!r}")
    with report.examining("stray", ""):
        _examine_names(storage, report)
    with report.examining("plain", PLAIN):
        examine_plain(storage, report, verify_data=verify_data)
    roots, contents = promised_by_logs(storage, report)
    layers = all_layers(storage)
    journals = scan_journals(storage, report, layers, _wanted(storage, layers, roots), boot_id())
    chunks = ChunkCheck(storage, index, report)
    try:
        with report.examining("pack", "packs"):
            chunks.examine(verify_data=verify_data)
        for layer in layers:
            examine_layer(storage, report, layer, chunks.problem)
        scratch = ScratchCheck(storage, chunks.problem, verify_data=verify_data)

        def make_history() -> History:
            # Of its own, so that nothing another part of this process has cached hides damage. A
            # fold reads no chunk, so it does not matter that there may be no index.
            history = History(Layers(storage, ChunkStore(storage, cast(ChunkIndex, index))))
            history.survival = _AsFound(history.layers)
            return history

        with report.examining("object", layout.WORKSPACES):
            examine_objects(report, chunks, contents)
        trees = TreeCheck(storage, report, journals, scratch, make_history)
        with report.examining("fold", layout.LAYERS):
            trees.examine(roots)
    finally:
        chunks.close()


class _AsFound(Survival):
    """Cuts nothing: a check changes nothing, and judges by itself what a power loss took."""

    def end(self, layer: LayerId) -> int | None:  # noqa: ARG002
        """Returns None: every layer is looked at as it is."""
        return None


def _wanted(storage: Storage, layers: list[LayerId], roots: list[Root]) -> dict[LayerId, set[int]]:
    """Returns the positions that must be ends of records.

    Those of roots, and where layers begin.
    """
    wanted: dict[LayerId, set[int]] = defaultdict(set)
    for root in roots:
        if root.offset is not None:
            wanted[root.layer].add(root.offset)
    for header in read_headers(storage, layers).values():
        if header.parent is not None:
            wanted[header.parent.layer].add(header.parent.offset)
    return wanted


def _add_stray(report: Report, path: str, text: str) -> None:
    """Reports a name that no part of a store has.

    What a killed writer left half written is normal.
    """
    if path.endswith(TEMPORARY_SUFFIX):
        report.add("note", "stray", path, "half written: left by a crash")
    else:
        report.add("warning", "stray", path, text)


def _examine_names(storage: Storage, report: Report) -> None:
    """Reports names that no part of a store has, and modes that let others in."""
    for name in storage.list(""):
        if name not in _TOP:
            _add_stray(report, name, "not a file of a store")
    for prefix in storage.list(layout.LAYERS):
        for name in storage.list(f"{layout.LAYERS}/{prefix}"):
            path = f"{layout.LAYERS}/{prefix}/{name}"
            layer = layout.layer_of(name)
            if name.endswith(_REMOVED):
                report.add("note", "stray", path, "left by an interrupted collection")
            elif layer is None or layer_name(layer) != name or not name.startswith(prefix):
                report.add("warning", "stray", path, "not a layer")
    for workspace in storage.list(layout.WORKSPACES):
        for name in storage.list(f"{layout.WORKSPACES}/{workspace}"):
            if name not in {"log", "locks", "synced", "usage"}:
                path = f"{layout.WORKSPACES}/{workspace}/{name}"
                _add_stray(report, path, "not a file of a workspace")
    examine_pack_names(storage, report)
    _examine_modes(storage, report)


def _examine_modes(storage: Storage, report: Report) -> None:
    root = storage.host_path("")
    for directory, below, names in os.walk(root):
        if directory == root and "logs" in below:
            below.remove("logs")
        for name in ["", *names]:
            path = os.path.join(directory, name) if name else directory
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                continue
            expected = 0o600 if name else 0o700
            if stat.S_IMODE(mode) != expected:
                text = f"mode {stat.S_IMODE(mode):04o} instead of {expected:04o}"
                report.add("warning", "mode", os.path.relpath(path, root), text)
