"""What a mount is made of before it is made: its store, its workspace, what is at its root.

Imports all that serving needs, so the command line imports this when it knows that it will serve.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyi_fs.cli.kept_locks import LOCKS_MAX, KeptLocks
from pyi_fs.cli.live_mounts import announcement
from pyi_fs.cli.mount_flags import set_flags
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.worker import worker_command
from pyi_fs.control.session import Session
from pyi_fs.engine.background import Background
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.founding import FIRST_BRANCH
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import BusyError, NotFoundError
from pyi_fs.fuse import mount
from pyi_fs.fuse.kept_views import TABLE as VIEW_TABLE
from pyi_fs.fuse.kept_views import root_shown
from pyi_fs.fuse.ledger import VERSION as NOTES_VERSION
from pyi_fs.fuse.ledger import MemoryLedger
from pyi_fs.fuse.mount import Continued, Holder
from pyi_fs.fuse.transports import AUTO
from pyi_fs.ids import WorkspaceName
from pyi_fs.limits import SYNC_INTERVAL_SECONDS, TAKEOVER_BYTES
from pyi_fs.model.refs import Snapshot
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.reserve import make_room

_SPIN_US = 50.0
_LASTING = (f"{layout.WORKSPACES}/", f"{layout.LEASES}/")


@dataclass(frozen=True)
class Opened:
    """A mount whose workspace is open, to be made and served; nothing of it is shared with others.

    `tell`: announces it anew. `tasks`: run beside its requests. `close`: gives everything up; who
    waits for the mount's end then goes on. `holder`, `continued`: as for `mount.serve`.
    """

    request: MountRequest
    session: Session
    options: mount.MountOptions
    tell: Callable[..., None]
    tasks: Sequence[Callable[[], Awaitable[None]]]
    close: Callable[[], None]
    holder: Holder | None
    continued: Continued | None
    disk: DirectoryStorage

    def ready(self) -> None:
        """Says to others what can be asked of it, now that requests are answered."""
        # What is used was entered again: what was inherited besides is not kept any longer.
        self.disk.forget_inherited()
        if self.request.writeback or self.notes_version:
            # Whoever reads that asks the mount to flush, or to make room for a successor, which it
            # can from now on.
            self.tell(writeback=self.request.writeback, notes_version=self.notes_version)
        if self.request.flags and os.geteuid() == 0 and self.continued is None:
            set_flags(str(self.request.mountpoint), self.request.flags)

    @property
    def notes_version(self) -> int:
        """Returns how it notes what a successor needs; 0: it will have none."""
        return NOTES_VERSION if self.holder is not None and self.holder.is_begun else 0

    def refuse_upgrade(self, reason: str) -> None:
        """Tells who has asked for another program that this one stays."""
        self.tell(
            writeback=self.request.writeback, notes_version=self.notes_version, refusal=reason
        )


def opened(
    request: MountRequest,
    *,
    note: Callable[[str], None],
    holder: Holder | None = None,
    continued: Continued | None = None,
    kept_locks: KeptLocks | None = None,
) -> Opened:
    """Opens what a mount shows, and announces it; in any thread.

    `note` is told what the user should know. `PyiError`, `OSError`.

    With a `holder` the mount goes on when this process dies, with what is in `kept_locks`.
    `continued`: it is such a mount.
    """
    mountpoint = str(request.mountpoint)
    with ExitStack() as stack:
        # First in, last out: who waits for the lock waits for everything.
        announce = stack.enter_context(announcement(_disk(request, continued)))
        store = _opened_store(request, kept_locks, is_continued=continued is not None)
        stack.enter_context(closing(store))
        name = WorkspaceName(request.where.workspace)
        workspace = stack.enter_context(closing(Workspace(store, name, holder=mountpoint)))
        if continued is None:
            root = opened_root(workspace, request, note)
        else:
            root = continued_root(workspace, continued.ledger)
        branch = root if isinstance(root, Branch) else None
        snapshot = root.id if isinstance(root, Snapshot) else None
        uid = os.getuid() if request.control_uid is None else request.control_uid
        session = Session(
            workspace, root, read_only=branch is None, control_uid=uid, mountpoint=mountpoint
        )
        stack.callback(session.close)
        shown = None if branch is None else branch.name
        tell = partial(announce, name, shown, snapshot, mountpoint, branch is None)
        tell()
        options = mount_options(request, snapshot)
        background = Background(
            workspace, worker=worker_command(request.store), sync_interval=options.sync_interval
        )
        return Opened(
            request=request,
            session=session,
            options=options,
            tell=tell,
            tasks=[] if branch is None else [background.run],
            close=stack.pop_all().close,
            holder=holder,
            continued=continued,
            disk=_directory(store),
        )


def check(store: Path) -> None:
    """Raises what would keep a server of this program from serving a store; changes nothing."""
    Store.open(store, create=False, fills_reserve=False).close()


def _disk(request: MountRequest, continued: Continued | None) -> DirectoryStorage:
    """Returns the store's disk; if it is full, with room for a server that goes on with a mount."""
    disk = DirectoryStorage(request.store)
    if continued is not None:
        make_room(disk, TAKEOVER_BYTES)
    return disk


def _opened_store(
    request: MountRequest, kept_locks: KeptLocks | None, *, is_continued: bool
) -> Store:
    """Opens the store; what it locks for long is kept. If continued, kept locks are taken over.

    Its reserve is then filled at the next sync: opening needs what was drawn.
    """
    store = Store.open(request.store, create=False, fills_reserve=not is_continued)
    disk = _directory(store)
    if kept_locks is not None:
        if is_continued:
            disk.inherit_locks(kept_locks.taken_over())
        disk.on_lock = partial(keep_locks, disk, kept_locks)
    if request.ephemeral_bytes is not None and store.layers.bound is not None:
        store.layers.bound.bytes_max = request.ephemeral_bytes
    return store


def _directory(store: Store) -> DirectoryStorage:
    disk = store.storage.disk
    assert isinstance(disk, DirectoryStorage), "BUG: a store without a disk"
    return disk


def keep_locks(disk: DirectoryStorage, kept: KeptLocks, path: str) -> None:
    """Keeps the locks of branches and leases; others are held for moments.

    One that is given up stays where it is kept, unlocked, until the next one is taken: to send the
    others again takes some 40 us, a quarter of what a drop did. Not where there is no room: another
    one gets its place.
    """
    if not path.startswith(_LASTING):
        return
    held = {one: file for one, file in disk.held_locks().items() if one.startswith(_LASTING)}
    if path in held or len(held) >= LOCKS_MAX:
        kept.keep(held)


def continued_root(workspace: Workspace, ledger: MemoryLedger) -> Branch | Snapshot:
    """Returns what the root of a mount showed when its server died.

    With its unlinked files: they may be open.
    """
    shown = root_shown(ledger.table(VIEW_TABLE))
    if isinstance(shown, Snapshot):
        return workspace.still_leased(shown)
    return workspace.open_branch(shown, reaps=False)


def opened_root(
    workspace: Workspace, request: MountRequest, note: Callable[[str], None]
) -> Branch | Snapshot:
    """Returns what the root of a mount shows: a branch, held from now on, or a snapshot.

    A branch that changed since its last snapshot, or has none, gets one: the way back. A read-only
    mount shows a snapshot, so it never keeps a writer out. `NotFoundError`, `BusyError`.
    """
    if request.where.at is not None:
        return workspace.find_snapshot(request.where.at)
    names = workspace.refresh().branch_names()
    name = request.branch or (FIRST_BRANCH if FIRST_BRANCH in names else names[0])
    try:
        branch = workspace.open_branch(name)
    except BusyError:
        if not request.read_only:
            raise
        return _newest(workspace, name, note)
    last = workspace.last(branch)
    if last is None or branch.is_changed:
        last = workspace.snapshot(branch, automatic="at mount").snapshot
    if not request.read_only:
        return branch
    workspace.sync(branch)
    workspace.close_branch(branch)
    return last


def _newest(workspace: Workspace, name: str, note: Callable[[str], None]) -> Snapshot:
    """Returns the newest snapshot of a branch that another process writes."""
    ref = workspace.refs.branch(name)
    newest = workspace.refs.nearest(ref.last)
    if newest is None:
        raise NotFoundError(f"branch '{name}' has no snapshot that could be shown read-only")
    holder = workspace.holder(ref.name) or "another process"
    note(f"branch '{name}' is written by {holder}: this shows its newest snapshot, {newest.id}")
    return newest


def mount_options(request: MountRequest, snapshot: str | None) -> mount.MountOptions:
    """Returns the options of the mount itself."""
    return mount.MountOptions(
        fsname=request.label(snapshot),
        allow_other=request.allow_other,
        writeback=request.writeback,
        transport=request.transport or AUTO,
        spin_us=_SPIN_US if request.spin_us is None else request.spin_us,
        sync_interval=request.sync_interval or SYNC_INTERVAL_SECONDS,
        snapshot_every=request.snapshot_every,
        # fusermount3 takes flags as words; mount(2) by root takes them afterwards.
        options=() if os.geteuid() == 0 else request.flags,
    )
