"""Filling a new workspace from a directory of the host.

Contents become chunks, the tree becomes the base table of a new layer, and the workspace begins at
that layer when all of it is durable: until then nothing refers to it, and a failure or Ctrl-C takes
it away again. (Packs that were full before that stay until they are collected.)

Kept: contents with their holes, modes, atime and mtime in ns, symbolic links, hard links, extended
attributes, FIFOs, sockets; owners, devices and attributes outside `user.` if we are root. Not kept:
ctime and btime (the moment of the import), ACLs (not enforced in a workspace). Inode numbers count
from 1 in the order of the walk: directories before what is in them, names by their bytes.
"""

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pyi_fs import limits
from pyi_fs.engine.founding import FIRST_BRANCH, begin_workspace
from pyi_fs.engine.host_tree import (
    HostDirectory,
    HostEntry,
    HostFile,
    HostTree,
    printable,
)
from pyi_fs.engine.intake import Intake, Pending
from pyi_fs.engine.store import Store, boot_id
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AlreadyExistsError, FileTooLargeError, InvalidArgumentError
from pyi_fs.format.pack import CUT_BYTES_MIN
from pyi_fs.format.record import FORMAT_VERSION, LayerHeader
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, Position, WorkspaceName
from pyi_fs.model.refs import check_ref_name
from pyi_fs.store import layout
from pyi_fs.store.chunker import Chunker

CONTROL_NAME = b".pyi"
"""Stands in the root of every view, so a root that has an entry of that name would hide one of the
two."""

Skip = frozenset[tuple[int, int]]


@dataclass(slots=True)
class ImportReport:
    """What an import did so far. `changed`: paths that were altered while they were read.

    `skipped`: path and reason.
    """

    files: int = 0
    directories: int = 0
    read_bytes: int = 0
    changed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def import_directory(
    store: Store,
    source: Path,
    name: str,
    *,
    leave_out: tuple[Path, ...] = (),
    progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Makes a workspace of what a directory holds, durable on return, with a snapshot of it.

    The store and the directories of `leave_out` are skipped where they lie inside.
    `AlreadyExistsError`; `InvalidArgumentError` for a bad name, a source that is the store or lies
    in it, or one that contains `.pyi`; `AccessDeniedError` and `OSError` for what cannot be read.
    After an error there is no workspace.
    """
    workspace = WorkspaceName(check_ref_name(name))
    if store.storage.exists(layout.operations_log(workspace)):
        raise AlreadyExistsError(f"workspace '{name}' exists: import into another one")
    where = source.resolve()
    if where.is_relative_to(store.path.resolve()):
        raise InvalidArgumentError(f"{source} is in the store itself")
    skip = frozenset(filter(None, map(_identity, (store.path, *leave_out))))
    with store.chunks.in_use():
        return _import(store, where, workspace, skip, progress)


def _import(
    store: Store,
    where: Path,
    workspace: WorkspaceName,
    skip: Skip,
    progress: Callable[[ImportReport], None] | None,
) -> ImportReport:
    tree = HostTree(os.fspath(where))
    layer = store.layers.new_directory()
    try:
        run = _Import(store, layer, tree, skip, progress)
        last = run.fill()
        position = _layer_on_table(store, layer, workspace, run.now)
    except BaseException:
        _forget(store, layer)
        raise
    finally:
        tree.close()
    with _no_interrupt():
        try:
            begin_workspace(store, workspace, position, os.fspath(where), InodeNumber(last + 1))
        except AlreadyExistsError:
            _forget(store, layer)
            raise
        _first_snapshot(store, workspace, where)
    return run.report


class _Import:
    """One import on its way: the walk."""

    def __init__(
        self,
        store: Store,
        layer: LayerId,
        tree: HostTree,
        skip: Skip,
        progress: Callable[[ImportReport], None] | None,
    ) -> None:
        self.report = report = ImportReport()
        self.now = time.time_ns()
        self._tree = tree
        self._skip = skip
        self._privileged = os.geteuid() == 0
        self._last = ROOT_INODE
        self._intake = Intake(
            store,
            layer,
            self.now,
            privileged=self._privileged,
            progress=None if progress is None else lambda: progress(report),
        )

    def fill(self) -> InodeNumber:
        """Writes chunks and base table, durable on return; returns the last inode number."""
        with closing(self._intake):
            self._walk()
            self._intake.finish()
        return self._last

    def _walk(self) -> None:
        stack: list[tuple[bytes, Pending]] = []
        with _opened(self._tree, b"") as root:
            if CONTROL_NAME in root.names():
                raise InvalidArgumentError(
                    "it contains an entry '.pyi', which is the name of the control directory in a "
                    "workspace: rename it, or import the directories beside it"
                )
            stack.append((b"", Pending(ROOT_INODE, root.status, [(ROOT_INODE, b"")])))
        while stack:
            path, pending = stack.pop()
            below = self._directory(path, pending)
            stack.extend(reversed(below))

    def _directory(self, path: bytes, pending: Pending) -> list[tuple[bytes, Pending]]:
        """Imports one directory; returns those in it, which come next."""
        below: list[tuple[bytes, Pending]] = []
        directory = self._tree.directory(path)
        self.report.directories += 1
        if directory is None:
            self._note_changed(path)
        else:
            with directory:
                pending.status = directory.status
                pending.attributes = directory.attributes(privileged=self._privileged)
                for name in directory.names():
                    found = self._entry(directory, name, pending.number)
                    if found is not None:
                        below.append((directory.path_of(name), found))
                if directory.has_changed():
                    self._note_changed(path or b".")
        self._intake.add_directory(pending, len(below))
        return below

    def _entry(self, directory: HostDirectory, name: bytes, parent: InodeNumber) -> Pending | None:
        """Imports one entry; a directory is only given its number and returned."""
        entry = self._looked_at(directory, name)
        if entry is None:
            return None
        key = (entry.status.st_dev, entry.status.st_ino)
        mode = entry.status.st_mode
        if stat.S_ISDIR(mode):
            if key in self._skip:
                self._note_skipped(directory.path_of(name), "is the store or the mountpoint")
                return None
            return Pending(self._next(), entry.status, [(parent, name)])
        if self._intake.link(entry.status, parent, name):
            return None
        if stat.S_ISREG(mode):
            self._file(directory, entry, parent)
        elif (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and not self._privileged:
            self._note_skipped(directory.path_of(name), "is a device, which only root may make")
        else:
            self._other(directory, entry, parent)
        return None

    def _looked_at(self, directory: HostDirectory, name: bytes) -> HostEntry | None:
        try:
            entry = directory.entry(name)
        except OSError as error:
            # Most likely a mount whose server is gone. The rest of the tree is none the worse.
            self._note_skipped(directory.path_of(name), f"cannot be looked at: {error.strerror}")
            return None
        if entry is None:
            self._note_changed(directory.path_of(name))
        return entry

    def _file(self, directory: HostDirectory, entry: HostEntry, parent: InodeNumber) -> None:
        opened = directory.file(entry)
        path = directory.path_of(entry.name)
        if opened is None:
            self._note_changed(path)
            return
        with opened:
            size = opened.status.st_size
            if size > limits.FILE_BYTES_MAX:
                raise FileTooLargeError(
                    f"'{printable(path)}' has {size} bytes; "
                    f"a file has at most {limits.FILE_BYTES_MAX}"
                )
            pending = self._intake.begin(self._next(), opened.status, parent, entry.name)
            pending.attributes = opened.attributes(privileged=self._privileged)
            pending.size = size
            for start, end in opened.regions():
                read_end = self._content(pending, opened, start, end)
                if read_end < end:
                    pending.size = read_end
                    break
            if opened.has_changed():
                self._note_changed(path)
        self._intake.complete(pending)
        self.report.files += 1

    def _content(self, pending: Pending, file: HostFile, start: int, end: int) -> int:
        """Cuts and keeps `[start, end)` of a file; returns where reading ended."""
        if end - start <= CUT_BYTES_MIN:
            part = b"".join(file.read(start, end))
            if part:
                self._intake.keep(pending, start, part)
            self.report.read_bytes += len(part)
            return start + len(part)
        offset = start
        for chunk in self._chunks(file, start, end):
            self._intake.keep(pending, offset, chunk)
            offset += len(chunk)
        return offset

    def _chunks(self, file: HostFile, start: int, end: int) -> Iterator[bytes]:
        chunker = Chunker()
        for part in file.read(start, end):
            self.report.read_bytes += len(part)
            yield from chunker.feed(part)
        yield from chunker.finish()

    def _other(self, directory: HostDirectory, entry: HostEntry, parent: InodeNumber) -> None:
        target = b""
        if stat.S_ISLNK(entry.status.st_mode):
            read = directory.target(entry.name)
            if read is None:
                self._note_changed(directory.path_of(entry.name))
                return
            target = read
        pending = self._intake.begin(self._next(), entry.status, parent, entry.name)
        pending.attributes = directory.attributes_of(entry.name, privileged=self._privileged)
        pending.target = target
        pending.size = len(target)
        self._intake.complete(pending)
        self.report.files += 1

    def _next(self) -> InodeNumber:
        self._last = InodeNumber(self._last + 1)
        return self._last

    def _note_changed(self, path: bytes) -> None:
        self.report.changed.append(printable(path))

    def _note_skipped(self, path: bytes, reason: str) -> None:
        self.report.skipped.append((printable(path), reason))


def _opened(tree: HostTree, path: bytes) -> HostDirectory:
    directory = tree.directory(path)
    assert directory is not None, "BUG: the root of a tree is open"
    return directory


def _layer_on_table(
    store: Store, layer: LayerId, workspace: WorkspaceName, now_ns: int
) -> Position:
    """Makes the journal of a layer that begins with its base table, durable on return."""
    header = LayerHeader(
        FORMAT_VERSION, layer, None, None, now_ns, boot_id(), workspace, FIRST_BRANCH
    )
    writer = store.layers.create(header)
    try:
        writer.sync()
        return Position(layer, writer.end)
    finally:
        store.layers.close_writer(writer)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Keeps a Ctrl-C until the end: a workspace begins wholly or not at all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _forget(store: Store, layer: LayerId) -> None:
    """Takes away what an import that failed had written."""
    store.chunks.abandon()
    directory = layout.layer_directory(layer)
    for name in store.storage.list(directory):
        store.storage.remove(f"{directory}/{name}")
    store.storage.remove_directory(directory)


def _first_snapshot(store: Store, name: WorkspaceName, source: Path) -> None:
    workspace = Workspace(store, name)
    try:
        branch = workspace.open_branch(FIRST_BRANCH)
        workspace.snapshot(branch, message=f"import of {source}")
        workspace.sync(branch)
    finally:
        workspace.close()
