"""`Workspace`: a branch of a workspace, open for writing in this program.

A handle is one branch, which nobody else can have open meanwhile. Handles that came from one
another (`branch`, `fork`) share the store they opened, and with it one lock: any thread may use any
of them. Nothing runs in the background: what a mount does beside its requests (giving scratch back)
happens in the calls themselves, and sealing and checkpoints wait for the next mount.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, overload

from pyi_fs.api.files import Files
from pyi_fs.api.mounting import mount
from pyi_fs.api.opened import OpenFiles
from pyi_fs.api.paths import AnyPath, encoded
from pyi_fs.api.records import (
    Change,
    Operation,
    Snapshot,
    change_of,
    operation_of,
    snapshot_of,
)
from pyi_fs.api.session import Session, default_store, translated
from pyi_fs.engine.founding import FIRST_BRANCH, create_workspace, fork_workspace
from pyi_fs.engine.usage import branch_usage
from pyi_fs.errors import BusyError, NotFoundError, StaleNodeError
from pyi_fs.ids import BranchName, OperationId, Position, SnapshotId, WorkspaceName
from pyi_fs.limits import SEGMENT_BYTES_MAX
from pyi_fs.model import refs
from pyi_fs.model.diff import diff, everything
from pyi_fs.model.operation import Begin, MakeBranch, MoveBranch, TakeSnapshot


class _OpenWorkspace(Protocol):
    def __call__(
        self,
        name: str,
        *,
        store: str | os.PathLike[str] | None = None,
        branch: str = FIRST_BRANCH,
        create: bool = True,
    ) -> "Workspace": ...


class _OpenFile(Protocol):
    def __call__(
        self,
        path: AnyPath,
        mode: str = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]: ...


class _Open:
    """`Workspace.open(…)` opens a workspace, `workspace.open(…)` a file of it."""

    @overload
    def __get__(self, workspace: None, owner: "type[Workspace]") -> _OpenWorkspace: ...
    @overload
    def __get__(self, workspace: "Workspace", owner: "type[Workspace]") -> _OpenFile: ...
    def __get__(
        self, workspace: "Workspace | None", owner: "type[Workspace]"
    ) -> _OpenWorkspace | _OpenFile:
        return owner.open_workspace if workspace is None else workspace.open_file


class Workspace(Files):
    """A branch of a workspace: files by their paths, snapshots, branches, forks.

    A context manager: its end makes everything durable and closes it. Before that, what a call has
    done survives the death of this program, and power loss after `sync`. Errors are `OSError` with
    the errno and the class that the calls of `os` would give; `ValueError` for a closed workspace.
    """

    open = _Open()

    def __init__(self, session: Session, name: WorkspaceName, branch: str) -> None:
        """Use `Workspace.open`, `branch` or `fork`. In a turn of the session."""
        self._session = session
        self._engine = session.engine(name)
        try:
            self._branch = self._engine.open_branch(branch)
        except BaseException:
            session.release(self._engine)
            raise
        self._opened = OpenFiles(session, self._branch, self._check)
        self._reclaim_at = SEGMENT_BYTES_MAX

    mount = staticmethod(mount)

    @classmethod
    def open_workspace(
        cls,
        name: str,
        *,
        store: str | os.PathLike[str] | None = None,
        branch: str = FIRST_BRANCH,
        create: bool = True,
    ) -> "Workspace":
        """Opens a branch of a workspace.

        With `create` the store and an empty workspace are made if there is none.

        `store`: a directory; `$PYI_STORE`, else `~/.local/share/pyi`, if None. `FileNotFoundError`;
        `OSError` with `EBUSY` that says who has the branch open (a mount, another program).
        """
        path = default_store() if store is None else Path(store)
        with translated(name):
            if not create and not path.exists():
                raise NotFoundError(f"no store at {path}")
            session = Session(path)
        try:
            with session.turn(name):
                if create and name not in session.store.workspace_names():
                    create_workspace(session.store, name)
                return cls(session, WorkspaceName(name), branch)
        except BaseException:
            session.store.close()
            raise

    def close(self) -> None:
        """Makes everything durable and closes the branch, and files of it that are still open.

        Again: nothing.
        """
        self._opened.finish()
        with self._session.turn(self.name):
            if self._opened.is_closed:
                return
            self._opened.is_closed = True
            try:
                if self._engine.opened(self._branch.name) is self._branch:
                    self._engine.sync(self._branch)
                    self._engine.close_branch(self._branch)
                self._engine.sync_leftovers()
            finally:
                self._session.release(self._engine)

    def __enter__(self) -> "Workspace":
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it, whatever happened: what was done is kept."""
        self.close()

    @property
    def name(self) -> str:
        """Returns the workspace's name."""
        return self._engine.name

    @property
    def branch_name(self) -> str:
        """Returns the name of the branch this is."""
        return self._branch.name

    def sync(self) -> None:
        """Returns when everything that was done survives power loss.

        Buffers of open files are theirs to flush.
        """
        with self._turn():
            self._engine.sync(self._branch)

    # Snapshots.

    def snapshot(self, name: str | None = None, message: str = "") -> Snapshot:
        """Takes a snapshot: O(1) in the size of the tree.

        If nothing changed since the last one, that is returned, `unchanged`.

        Buffers of open files have to be flushed first. `FileExistsError` for a taken name.
        """
        with self._turn():
            answer = self._engine.snapshot(self._branch, name=name, message=message)
            return self._snapshot_of(answer.snapshot, unchanged=answer.unchanged)

    def snapshots(self) -> list[Snapshot]:
        """Returns all snapshots of the workspace, oldest first."""
        with self._turn():
            return [self._snapshot_of(found) for found in self._engine.refresh().ordered()]

    def restore(self, snapshot: str | Snapshot, path: AnyPath | None = None) -> None:
        """Makes the tree, or one path of it, that of a snapshot again.

        What was there is snapshotted first; `undo` brings it back. Who has a file open keeps the
        one that was there. `path` names what was there, symlinks in it are not followed.
        """
        with self._turn(str(snapshot)):
            part = _plain(path) if path is not None else b""
            self._engine.restore(self._branch, str(snapshot), part or None)
            self._opened.reap()

    def delete_snapshot(self, snapshot: str | Snapshot) -> None:
        """Deletes a snapshot; what only it held is collected later."""
        with self._turn(str(snapshot)):
            self._engine.delete_snapshot(str(snapshot))

    def diff(self, a: str | Snapshot, b: str | Snapshot | None = None) -> list[Change]:
        """Returns what changed from a snapshot to another or to the present, sorted by path."""
        with self._turn(str(a)):
            old = self._engine.find_snapshot(str(a))
            new = self._engine.find_snapshot(str(b)) if b is not None else self._branch
            return [change_of(change) for change in self._engine.diff(old, new)]

    def undo(self, operation: int | None = None) -> str:
        """Takes back the last restore, undo or redo of this branch, or making or drop of another.

        Or the operation with that number. Returns what it did.
        """
        with self._turn():
            number = OperationId(operation) if operation is not None else None
            return self._engine.undo(self._branch, number)

    def redo(self) -> str:
        """Does again what the last `undo` took back; returns what it did."""
        with self._turn():
            return self._engine.redo(self._branch)

    def log(self) -> list[Operation]:
        """Returns the operations of the workspace, newest first."""
        with self._turn():
            self._engine.refresh()
            found = [operation_of(*pair) for pair in self._engine.log.operations()]
            return [operation for operation in reversed(found) if operation is not None]

    # Branches and forks.

    def branch(
        self, name: str, from_: str | Snapshot | None = None, *, ephemeral: bool = False
    ) -> "Workspace":
        """Makes a branch that starts at a snapshot, or here and now, and opens it. O(1).

        An `ephemeral` one is in memory: it outlives this program, not the machine, until it is
        promoted (`docs/durability.md`). `FileExistsError`.
        """
        with self._turn(name):
            start = self._engine.find_snapshot(str(from_)) if from_ is not None else self._branch
            self._engine.make_branch(name, start, ephemeral=ephemeral)
            return type(self)(self._session, self._engine.name, name)

    def branches(self) -> list[str]:
        """Returns the names of the workspace's branches, sorted."""
        with self._turn():
            return list(self._engine.refresh().branch_names())

    def drop(self, name: str) -> None:
        """Abandons a branch that nobody has open; `undo` brings it back.

        `FileNotFoundError`; `EBUSY` naming who has it.
        """
        with self._turn(name):
            if self._engine.opened(BranchName(name)) is not None:
                raise BusyError(f"branch '{name}' is open in this program")
            self._engine.drop_branch(name)

    def fork(self, name: str, at: str | Snapshot | None = None) -> "Workspace":
        """Makes a workspace that starts at a snapshot of this one, or here and now, and opens it.

        O(1): nothing is copied. `FileExistsError`.
        """
        with self._turn(name):
            start = self._branch.name if at is None else str(at)
            store, parent = self._session.store, self._engine.name
            fork_workspace(store, parent, start, name, is_branch=at is None)
            return type(self)(self._session, WorkspaceName(name), FIRST_BRANCH)

    def status(self) -> dict[str, object]:
        """Returns what `.pyi/status` shows of a branch, and what its layers occupy.

        `own_bytes`, `shared_bytes`.
        """
        with self._turn():
            held = branch_usage(self._engine, self._branch)
            return self._engine.status(self._branch) | {
                "own_bytes": held.own_bytes,
                "shared_bytes": held.shared_bytes,
                "layers": held.layers,
            }

    def _turn(self, *paths: object) -> AbstractContextManager[None]:
        return self._session.turn(*paths, check=self._check)

    def _check(self) -> None:
        if self._opened.is_closed:
            raise ValueError("the workspace is closed")
        if self._engine.opened(self._branch.name) is not self._branch:
            raise StaleNodeError(f"branch '{self._branch.name}' was dropped")

    def _snapshot_of(self, snapshot: refs.Snapshot, *, unchanged: bool = False) -> Snapshot:
        def changes() -> list[Change]:
            with self._turn(snapshot.id):
                return self._changes(snapshot)

        return snapshot_of(snapshot, changes, unchanged=unchanged)

    def _changes(self, snapshot: refs.Snapshot) -> list[Change]:
        history = self._engine.history
        start = self._start_of(snapshot)
        old, new = history.tree(start), history.tree(snapshot.position)
        touched = history.touched(start, snapshot.position)
        found = diff(old, new, everything(old, new) if touched is None else touched)
        return [change_of(change) for change in found]

    def _start_of(self, snapshot: refs.Snapshot) -> Position:
        """Returns where the changes of a snapshot are counted from.

        The one before it, or where its branch began.
        """
        before = self._engine.refs.snapshots.get(snapshot.parent or SnapshotId(""))
        if before is not None:
            return before.position
        start = snapshot.position
        for _, operation in self._engine.log.operations():
            match operation:
                case Begin() | MakeBranch() if operation.branch == snapshot.branch:
                    start = Position(*operation.position)
                case MoveBranch() if operation.branch == snapshot.branch:
                    start = Position(*operation.after)
                case TakeSnapshot() if operation.id == snapshot.id:
                    break
                case _:
                    continue
        return start


def _plain(path: AnyPath) -> bytes:
    """Returns a path without needless parts; `..` takes the name before it away."""
    names: list[bytes] = []
    for name in encoded(path).split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in (b"", b"."):
            names.append(name)
    return b"/".join(names)
