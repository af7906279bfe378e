"""How workspaces begin: empty, as a fork, or from a table an import wrote; and how they end."""

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from pyi_fs.engine.roots import is_in_use
from pyi_fs.engine.store import Store, boot_id
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AlreadyExistsError, BusyError, CorruptError, NotFoundError
from pyi_fs.format.record import FORMAT_VERSION, LayerHeader
from pyi_fs.ids import BranchName, InodeNumber, Position, WorkspaceName
from pyi_fs.model.operation import Begin
from pyi_fs.model.refs import check_ref_name
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog, has_operations
from pyi_fs.store.storage import Storage

FIRST_BRANCH = BranchName("main")
# Each process that looked at a workspace before it went makes at most a file more.
_ATTEMPTS = 10


def create_workspace(
    store: Store, name: str, *, mode: int = 0o755, uid: int | None = None, gid: int | None = None
) -> None:
    """Makes an empty workspace, durable on return.

    `AlreadyExistsError`; `InvalidArgumentError` for a bad name.
    """
    workspace = _free_name(store, name)
    now = time.time_ns()
    root = (
        stat.S_IFDIR | mode,
        os.getuid() if uid is None else uid,
        os.getgid() if gid is None else gid,
        now,
    )
    layer = store.layers.new_directory()
    header = LayerHeader(FORMAT_VERSION, layer, None, root, now, boot_id(), workspace, FIRST_BRANCH)
    writer = store.layers.create(header)
    writer.sync()
    position = Position(layer, writer.end)
    store.layers.close_writer(writer)
    begin_workspace(store, workspace, position, "empty", InodeNumber(2))


def begin_workspace(
    store: Store, name: WorkspaceName, position: Position, source: str, inode_floor: InodeNumber
) -> None:
    """Makes the log of a workspace whose first branch starts at a durable position.

    `AlreadyExistsError`.
    """
    try:
        OperationsLog.create(
            store.storage, name, Begin(time.time_ns(), FIRST_BRANCH, position, source, inode_floor)
        )
    except FileExistsError:
        raise AlreadyExistsError(f"workspace '{name}' exists") from None


def fork_workspace(
    store: Store,
    source: str,
    at: str | None,
    name: str,
    *,
    is_branch: bool = False,
    flush: Callable[[WorkspaceName, BranchName], None] | None = None,
    begun_ns: int = 0,
) -> None:
    """Makes a workspace that begins where another is. BLOCKS.

    At its branch `main`, or at a snapshot or branch named by `at`; a snapshot goes first, unless
    `is_branch`. O(1).

    Also while the parent is mounted and written by another process; afterwards either may be
    written, dropped, collected or die. What the parent had acknowledged is in the fork: with the
    writeback cache the kernel acknowledges before the parent has it, so `flush` is called first
    with the branch whose present is meant. `NotFoundError`, `AlreadyExistsError`.

    `begun_ns`: when a process began with the same that died in it; if it had come to the end, this
    does nothing.
    """
    origin = f"{source}@{at}" if at else source
    if begun_ns and _was_made(store, name, origin, begun_ns):
        return
    fork = _free_name(store, name)
    parent = Workspace(store, WorkspaceName(source))
    try:
        branch = BranchName(str(at)) if is_branch else _branch_of_fork(parent, at)
        if branch is not None and flush is not None:
            flush(parent.name, branch)
        position = _pinned_start(parent, at, branch, fork)
        # The log of the fork is durable, so what it names has to be; where the parent is synced,
        # this costs nothing.
        store.layers.sync_lineage(position)
        floor = parent.refresh().inode_end
    finally:
        parent.close()
    begin_workspace(store, fork, position, origin, floor)


def _was_made(store: Store, name: str, origin: str, since_ns: int) -> bool:
    """Returns whether a workspace was begun since a time, from an origin."""
    try:
        log = OperationsLog(store.storage, WorkspaceName(check_ref_name(name)))
    except NotFoundError:
        return False
    try:
        _, first = next(iter(log.operations()))
    finally:
        log.close()
    return isinstance(first, Begin) and first.source == origin and first.time_ns >= since_ns


def _pinned_start(
    parent: Workspace, at: str | None, branch: BranchName | None, fork: WorkspaceName
) -> Position:
    """Returns the position a fork starts at, pinned.

    The pin comes first: until the parent's writer has seen it, it may give back what it superseded.
    So the position is looked up again after the pin, and is then of a state from which nothing is
    given back.
    """
    position = _start_of_fork(parent, at, branch)
    while True:
        parent.store.layers.pin(position.layer, f"{fork} {position.offset}")
        pinned, position = position.layer, _start_of_fork(parent, at, branch)
        if position.layer == pinned:
            return position


def _start_of_fork(parent: Workspace, at: str | None, branch: BranchName | None) -> Position:
    return parent.find_snapshot(str(at)).position if branch is None else parent.present(branch)


def _branch_of_fork(parent: Workspace, at: str | None) -> BranchName | None:
    """Returns the branch at whose present a fork starts, None if it starts at a snapshot."""
    names = parent.refresh().branch_names()
    if at is None:
        return FIRST_BRANCH if FIRST_BRANCH in names else names[0]
    try:
        parent.find_snapshot(at)
    except NotFoundError:
        if at in names:
            return BranchName(at)
        raise NotFoundError(f"'{parent.name}' has no snapshot or branch '{at}'") from None
    return None


def remove_workspace(store: Store, name: str) -> None:
    """Removes a workspace's refs, also damaged ones; what only it held is collected.

    `NotFoundError`; `BusyError` if a branch of it is in use.
    """
    _check_unused(store, WorkspaceName(name))
    directory = layout.workspace_directory(WorkspaceName(name))
    # The log goes first: without it there is no workspace, whatever else is left.
    OperationsLog.remove(store.storage, WorkspaceName(name))
    _remove_with_files(store.storage, f"{directory}/locks")
    # What mounts had to say goes too, or the directory would not.
    _remove_with_files(store.storage, directory)


def _check_unused(store: Store, name: WorkspaceName) -> None:
    try:
        workspace = Workspace(store, name)
    except CorruptError:
        # Which branches there are cannot be read, which are locked can.
        if is_in_use(store, name):
            raise BusyError(f"'{name}' is in use, and damaged") from None
        return
    try:
        for branch in workspace.refs.branch_names():
            holder = workspace.holder(branch)
            if holder is not None:
                raise BusyError(f"branch '{branch}' of '{name}' is in use: {holder}")
    finally:
        workspace.close()


def _remove_with_files(storage: Storage, directory: str) -> None:
    """Removes a directory and the files in it.

    Again, should a file have come meanwhile: who looked at the workspace just before it went looks
    once whether its locks are free, or notes once how far its log is durable.
    """
    for attempt in reversed(range(_ATTEMPTS)):
        for name in storage.list(directory):
            storage.remove(f"{directory}/{name}")
        try:
            storage.remove_directory(directory)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not attempt:
                raise
        else:
            return


def _free_name(store: Store, name: str) -> WorkspaceName:
    check_ref_name(name)
    workspace = WorkspaceName(name)
    if has_operations(store.storage, workspace):
        raise AlreadyExistsError(f"workspace '{name}' exists")
    return workspace


def default_store_path(environment_value: str | None) -> Path:
    """Returns the store to use: the value of `PYI_STORE`, else `~/.local/share/pyi`."""
    return (
        Path(environment_value) if environment_value else Path.home() / ".local" / "share" / "pyi"
    )
