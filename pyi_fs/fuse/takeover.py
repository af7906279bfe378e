"""Going on with a mount whose server died: from its ledger and the store to a state that serves.

The order matters. First everything is put back as it was noted: views, nodes, handles. Then the
command that the server died in, if it did, is brought to its end: the journals and the log say how
far it was, and what it means for the nodes is done as if it happened now. Last, unlinked files that
nobody holds are removed, as at every opening of a branch.

Nothing is told to the kernel before; when this returns, it may send again what was not answered.
"""

import logging

from pyi_fs.control.view import View
from pyi_fs.engine.branch import Branch
from pyi_fs.errors import BusyError, PyiError
from pyi_fs.format.record import decode_operation
from pyi_fs.fuse.commands import DONE_TABLE, INTENT_TABLE
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.in_flight import note_deaths
from pyi_fs.fuse.kept_handles import kept_handles, slots
from pyi_fs.fuse.kept_nodes import kept_nodes
from pyi_fs.fuse.kept_views import GONE_TABLE, TABLE, gone_views, session_views
from pyi_fs.fuse.ledger import MemoryLedger, Word
from pyi_fs.fuse.resent import Interrupted
from pyi_fs.ids import ROOT_INODE, LayerId, Position, ViewNumber
from pyi_fs.model.mutation import Reap
from pyi_fs.model.operation import Operation, RestorePath, SwitchHead
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage

log = logging.getLogger(__name__)


class Takeover:
    """Puts one mount back."""

    def __init__(self, handlers: Handlers, ledger: MemoryLedger) -> None:
        """`handlers`: new ones, on a session that shows nothing yet but its root.

        The root's branch was opened without removing unlinked files.
        """
        self._handlers = handlers
        self._state = handlers.state
        self._session = handlers.state.session
        self._ledger = ledger
        self._words = ledger.words

    def restore(self) -> Interrupted:
        """Puts everything back; returns what the last server was doing."""
        request, counted = self._note_death()
        views = self._restore_views()
        self._state.nodes.restore(*kept_nodes(self._ledger, views))
        self._state.publication.restore()
        self._enter_views()
        kept = kept_handles(self._ledger, views, self._handlers.controls)
        self._state.handles.restore(kept.handles, self._words[Word.SLOT_COUNT])
        # Others may have deleted a snapshot meanwhile, or dropped a branch that is theirs.
        self._session.retire_missing()
        self._lease()
        changed = self._change_that_was_done()
        self._finish_command()
        self._reap()
        self._ledger.commit()
        return Interrupted(request, counted, changed, kept.opened)

    def _note_death(self) -> tuple[int, int]:
        """Returns the request that the server died in and the node it had counted; 0 for none."""
        words = self._words
        note_deaths(self._ledger)
        request, counted = words[Word.REQUEST], words[Word.COUNTED]
        if request:
            is_again = words[Word.SUSPECT] == request
            words[Word.SUSPECT_COUNT] = words[Word.SUSPECT_COUNT] + 1 if is_again else 1
            words[Word.SUSPECT] = request
            # Before it is asked for again, no death is its fault.
            words[Word.REQUEST] = 0
        return request, counted

    def _restore_views(self) -> dict[int, View]:
        """Returns all views, by what they were noted as."""
        known = session_views(self._ledger.table(TABLE))
        known.pop(self._session.root.number, None)
        self._session.restore_views(known, self._words[Word.VIEW_LAST])
        gone = gone_views(self._ledger.table(GONE_TABLE), self._session.workspace.history.tree)
        views: dict[int, View] = dict(self._session.views.items())
        return views | gone

    def _enter_views(self) -> None:
        """Opens the branches of views that are in use, and leases what the others read."""
        workspace = self._session.workspace
        open_in = {kept.view for kept in slots(self._ledger)}
        for view in list(self._session.views.values()):
            is_used = view.number in open_in or any(True for _ in self._state.nodes.known_of(view))
            if not is_used or view is self._session.root:
                continue
            if view.number not in open_in and not self._was_entered(view):
                continue
            if view.reads is not None:
                workspace.leases.hold(view.reads)
            elif view.name is not None:
                try:
                    workspace.open_branch(view.name, reaps=False)
                except BusyError as error:
                    log.warning("%s: it shows its newest snapshot from now on", error)
                self._session.view_of_branch(view.name)

    def _was_entered(self, view: View) -> bool:
        """Returns whether the last server may have had the branch of a view open.

        The kernel also knows the directory of one that was only listed. If so, the next use of it
        opens the branch, as it would have there.
        """
        numbers = {number for _, number in self._state.nodes.known_of(view)}
        workspace = self._session.workspace
        disk = workspace.store.storage.disk
        if view.name is None or numbers != {ROOT_INODE} or not isinstance(disk, DirectoryStorage):
            return True
        return disk.may_have_inherited(layout.branch_lock(workspace.name, view.name))

    def _lease(self) -> None:
        """Leases what open files read of views that are gone, so that no collection takes it."""
        for position in self._state.read_positions():
            self._session.workspace.leases.hold(position)

    def _branch_at(self, view: int, layer: int, offset: int) -> tuple[Branch, Position] | None:
        """Returns the branch of a view if it has moved on since it was at a position."""
        shown = self._session.views.get(ViewNumber(view))
        branch = None if shown is None else shown.branch
        before = Position(LayerId(layer), offset)
        if branch is None or not layer or branch.position == before:
            return None
        # A layer that was begun holds nothing yet.
        touched = self._session.workspace.history.touched(before, branch.position)
        return None if touched is not None and not touched else (branch, before)

    def _change_that_was_done(self) -> int:
        """Returns the request whose change is in the journal.

        Looked at before anything is committed here: that moves the branch, too.
        """
        words = self._words
        moved = self._branch_at(
            words[Word.CHANGE_VIEW], words[Word.CHANGE_LAYER], words[Word.CHANGE_OFFSET]
        )
        if moved is None:
            words[Word.CHANGE] = 0
        return words[Word.CHANGE]

    def _finish_command(self) -> None:
        """Brings the command that the server died in to its end, as far as it had come."""
        words = self._words
        request = words[Word.COMMAND]
        if request and request not in self._ledger.table(DONE_TABLE):
            moved = self._branch_at(
                words[Word.COMMAND_VIEW], words[Word.COMMAND_LAYER], words[Word.COMMAND_OFFSET]
            )
            if moved is not None:
                branch, before = moved
                branch.publish_again(self._session.workspace.history.tree(before))
            logged = self._logged(words[Word.COMMAND_LOGS])
            if moved is not None and logged is None:
                logged = self._log_restored_path(words[Word.COMMAND_LOGS])
            if isinstance(logged, SwitchHead) and logged.old == self._session.root.name:
                self._session.show_at_root(logged.new)
            self._session.retire_missing()
            if logged is not None:
                self._ledger.put(DONE_TABLE, request, True)
            self._ledger.commit()
        words[Word.COMMAND] = 0

    def _log_restored_path(self, time_ns: int) -> Operation | None:
        """Adds the record of a restored path that is in the journal and not in the log."""
        kept = self._ledger.table(INTENT_TABLE).get(0)
        intended = None if kept is None else decode_operation(kept)
        if not isinstance(intended, RestorePath) or intended.time_ns != time_ns:
            return None
        return self._session.workspace.log.append(lambda _: intended)

    def _logged(self, time_ns: int) -> Operation | None:
        """Returns the record of the operations log that was made at a time, if it is there."""
        if time_ns:
            for _, operation in self._session.workspace.log.newest_first():
                made_ns = getattr(operation, "time_ns", time_ns + 1)
                if made_ns == time_ns:
                    return operation
                if made_ns < time_ns:
                    break
        return None

    def _reap(self) -> None:
        """Removes unlinked files that the kernel does not know, and that nobody has open."""
        nodes = self._state.nodes
        for view in self._session.views.values():
            branch = view.branch
            if branch is None or branch.read_only:
                continue
            held = {handles[0].number for _, handles in self._state.handles.open_files()}
            unheld = [
                number
                for number in branch.tree.unlinked
                if number not in held and not nodes.is_known(nodes.node_of(view, number))
            ]
            if unheld:
                try:
                    branch.commit(Reap(tuple(unheld)))
                except (OSError, PyiError) as error:
                    log.info("unlinked files stay until the disk has room: %s", error)
