"""What the handlers of one mount share."""

import errno
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import trio

from pyi_fs.control.nodes import Control
from pyi_fs.control.session import Session
from pyi_fs.control.view import View, ViewChange
from pyi_fs.engine.branch import Branch
from pyi_fs.errors import ReadOnlyError
from pyi_fs.fuse.commands import Commands
from pyi_fs.fuse.handles import Handles
from pyi_fs.fuse.invalidation import Invalidation, Notifier
from pyi_fs.fuse.kept_views import KeptViews
from pyi_fs.fuse.ledger import Ledger, NoLedger
from pyi_fs.fuse.nodes import NodeTable
from pyi_fs.fuse.prefill import Prefill
from pyi_fs.fuse.publishing import Publication
from pyi_fs.fuse.reaping import Reaper
from pyi_fs.fuse.syncing import GroupSync
from pyi_fs.fuse.told import Told, listing_of
from pyi_fs.ids import NodeId, Position

RunInThread = Callable[..., Awaitable[Any]]


class Caller(Protocol):
    """Who asks; a transport's own object will do."""

    @property
    def uid(self) -> int:
        """Returns the caller's user."""

    @property
    def gid(self) -> int:
        """Returns the caller's group."""


class MountState:
    """The session and everything the kernel was told about it."""

    def __init__(
        self,
        session: Session,
        notifier: Notifier,
        run_in_thread: RunInThread,
        *,
        ledger: Ledger | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Listens to the session's branches from now on.

        `ledger`: where what the kernel is told is noted for a successor; None: nowhere.
        """
        self.session = session
        self.ledger = NoLedger() if ledger is None else ledger
        self.control = Control(session)
        self.run_in_thread = run_in_thread
        self.clock = clock
        self.nodes = NodeTable(session, self.ledger)
        self.handles = Handles(self.ledger)
        self.told = Told()
        self.prefill = Prefill(self.handles, session.workspace.reader.read_nowait, notifier.store)
        self.reaper = Reaper(
            session.workspace, self.nodes, self.handles, self.prefill, self.note_given_up
        )
        self.invalidation = Invalidation(notifier, run_in_thread)
        self._kept_views = KeptViews(self.ledger)
        self.publication = Publication(
            session, self.nodes, self.handles, self.invalidation, self._kept_views.note_gone
        )
        self.commands = Commands(session, self.ledger, before=self.reaper.reap)
        self.group_sync = GroupSync(run_in_thread)
        # With the writeback cache: has the kernel write what it holds of files open for writing.
        self.flush_kernel: Callable[[], Awaitable[None]] | None = None
        # Why some of that was not taken by the disk, if nobody was told yet.
        self._unwritten = 0
        self.store_path: str | os.PathLike[str] = session.workspace.store.path
        session.publish_listener = self.publication
        session.on_view_changed = self._view_changed
        session.on_new_view = self._kept_views.note
        self._kept_views.note(session.root)
        self.given_up = trio.Event()
        for view in session.views.values():
            if view.branch is not None:
                view.branch.listener = self.publication

    def _view_changed(self, change: ViewChange) -> None:
        self._kept_views.note(change.view)
        self.publication.view_changed(change)
        self.note_given_up()

    def note_given_up(self) -> None:
        """Something of a view is not used any more: perhaps nothing of it is."""
        if len(self.session.views) > 1 or len(self.session.workspace.leases) > 0:
            self.given_up.set()

    @property
    def is_write_cached(self) -> bool:
        """Returns whether the kernel holds back what is written (its writeback cache)."""
        return self.flush_kernel is not None

    async def before_control(self) -> None:
        """Returns when what was written before a control request has reached us.

        `OSError` if the disk did not take some of it, now or since `told_unwritten`: the kernel
        tells that once, and who only polls something must not be the one who is told.
        """
        if self.flush_kernel is None:
            return
        with suppress(OSError):
            await self.flush()
        if self._unwritten:
            raise OSError(self._unwritten, os.strerror(self._unwritten))

    async def flush(self) -> None:
        """Has the kernel write what it holds back; `OSError` if the disk does not take some now."""
        if self.flush_kernel is not None:
            try:
                await self.flush_kernel()
            except OSError as error:
                self._unwritten = error.errno or errno.EIO
                raise

    @property
    def unwritten(self) -> str | None:
        """Returns why some of what was written was not taken by the disk, until it was told."""
        return os.strerror(self._unwritten) if self._unwritten else None

    def told_unwritten(self) -> None:
        """Somebody was refused a command for it: the next one goes on with what had come."""
        self._unwritten = 0

    def has_changed(self, node: NodeId, *, listed_in: NodeId | None = None) -> None:
        """A request has changed what is told of a node, and is about to be answered.

        What is in a directory, or the ctime of something that listings of a directory tell of, too.
        """
        is_late = self.told.has_changed(node)
        if listed_in is not None:
            is_late |= self.told.is_told_to_others(listing_of(listed_in))
        if is_late:
            self.invalidation.attributes(node)

    def branch_of(self, view: View) -> Branch:
        """Returns the branch that a view's files are written to; `ReadOnlyError`."""
        branch = view.branch
        if branch is None or view.read_only:
            raise ReadOnlyError(f"{view.label} is read-only")
        return branch

    def read_positions(self) -> set[Position]:
        """Returns where the trees are that somebody may read here and nobody here writes."""
        views = [self.session.root]
        views += [view for view in self.session.views.values() if not self.is_unused(view)]
        views += [handle.view for _, handles in self.handles.open_files() for handle in handles]
        views += [listing.view for listing in self.handles.open_listings()]
        return {view.reads for view in views if view.reads is not None}

    def let_go_of_gone(self) -> None:
        """Takes back what was noted of views that are gone and of which nothing is left."""
        views = [handle.view for _, handles in self.handles.open_files() for handle in handles]
        views += [listing.view for listing in self.handles.open_listings()]
        views += self.nodes.views_of_exceptions()
        self._kept_views.keep_only({view.kept_as for view in views})

    def is_unused(self, view: View) -> bool:
        """Returns whether the kernel knows nothing of a view and nobody has a file of it open."""
        if next(self.nodes.known_of(view), None) is not None:
            return False
        return all(handles[0].view is not view for _, handles in self.handles.open_files())
