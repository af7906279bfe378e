"""Requests that a dead server had read and not answered; the kernel has sent them again.

Most can be done again: a write to its offset, a truncation, an attribute that is set to what it is.
The others are told from what the server noted:

- a change that would fail or do harm the second time (`CHANGES`): done if the branch has moved on
  since the server began with it, and only one request was under way; answered from what is there;
- an open, also of a file that it makes without a name: its handle is there, under the number of the
  request;
- a control command: its answer is there, or the operations log has its record.

A request during which servers died again and again is refused, also one that a task answers
(`fuse/in_flight.py`).
"""

import errno
import logging
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from pyi_fs.fuse import protocol_replies as replies
from pyi_fs.fuse import protocol_requests as requests
from pyi_fs.fuse.commands import DONE_TABLE
from pyi_fs.fuse.direct_entries import Entries, opened_directory, opened_file
from pyi_fs.fuse.direct_ioctls import ioctl_done
from pyi_fs.fuse.direct_requests import Answer, Caller, Handler
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.handles import FileHandle, HandleId
from pyi_fs.fuse.in_flight import POINTS_MAX, suspects
from pyi_fs.fuse.ledger import MemoryLedger, Word
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.protocol import RESENT, Opcode
from pyi_fs.fuse.state import MountState
from pyi_fs.ids import Buffer, NodeId

log = logging.getLogger(__name__)

CHANGES = frozenset(
    (
        Opcode.CREATE,
        Opcode.MKNOD,
        Opcode.MKDIR,
        Opcode.SYMLINK,
        Opcode.LINK,
        Opcode.UNLINK,
        Opcode.RMDIR,
        Opcode.RENAME,
        Opcode.RENAME2,
        Opcode.SETXATTR,
        Opcode.REMOVEXATTR,
    )
)
"""Not to be done twice, and each one record of a journal."""
_DEATHS_MAX = 3
_REQUEST, _CHANGE = Word.REQUEST.value, Word.CHANGE.value
_CHANGE_VIEW = Word.CHANGE_VIEW.value
_CHANGE_LAYER, _CHANGE_OFFSET = Word.CHANGE_LAYER.value, Word.CHANGE_OFFSET.value


def noting_changes(state: MountState, table: Mapping[int, Handler]) -> dict[int, Handler]:
    """Returns handlers that note, before a change of `CHANGES`, where its branch is.

    The same ones where nothing is kept.
    """
    if not state.ledger.survives:
        return dict(table)
    words, place = state.ledger.words, state.nodes.place

    def noting(handler: Handler, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        if not node & CONTROL_BIT:
            view = place(node).view
            branch = view.branch
            if branch is not None:
                words[_CHANGE] = 0
                words[_CHANGE_VIEW] = view.number
                writer = branch.writer
                if writer is None:
                    words[_CHANGE_LAYER], words[_CHANGE_OFFSET] = branch.position
                else:
                    # The same without making a tuple of it: each change passes here.
                    words[_CHANGE_LAYER], words[_CHANGE_OFFSET] = writer.layer, writer.end
                words[_CHANGE] = words[_REQUEST]
        return handler(node, caller, body)

    return {
        opcode: partial(noting, handler) if opcode in CHANGES else handler
        for opcode, handler in table.items()
    }


class Interrupted(NamedTuple):
    """What the last server was doing when it died; numbers of requests, 0 for none.

    `counted`: the node whose lookup `request` had counted. `changed`: a request whose change is in
    the journal. `opened`: handles by the requests that opened them.
    """

    request: int
    counted: int
    changed: int
    opened: dict[int, HandleId]


class Resent:
    """Answers what was done already."""

    def __init__(self, handlers: Handlers, ledger: MemoryLedger, interrupted: Interrupted) -> None:
        """Keeps what the last server was doing."""
        self._handlers = handlers
        self._entry = Entries(handlers.state.nodes, handlers.state.told).entry
        self._words = ledger.words
        self._ledger = ledger
        self._done = ledger.table(DONE_TABLE)
        self._asked: set[int] = set()
        self.suspects = suspects(ledger)
        """Requests that servers died with, with their points."""
        self._interrupted = interrupted

    def handler(self, opcode: int, unique: int, handler: Handler) -> Handler:
        """Returns what answers a request that was sent again; `handler` does it anew."""
        self._asked.add(unique & ~RESENT)
        return partial(self._answer, opcode, unique & ~RESENT, handler)

    def settle(self) -> None:
        """All that was sent again has come: answers that nobody waits for are not kept longer."""
        for request in self._done:
            self._ledger.put(DONE_TABLE, request, None)
        self._handlers.state.commands.settle(self._asked)
        self._asked.clear()

    def _answer(
        self,
        opcode: int,
        request: int,
        handler: Handler,
        node: NodeId,
        caller: Caller,
        body: Buffer,
    ) -> Answer:
        if self._is_deadly(opcode, request):
            return errno.EIO
        if request == self._interrupted.request and self._interrupted.counted:
            # Counted, and nobody was told. As if the kernel forgot it: it may be an unlinked file.
            self._handlers.reaper.forget([(NodeId(self._interrupted.counted), 1)])
        if request in self._done:
            return self._command(opcode, node, caller, body, self._done[request])
        if request == self._interrupted.changed:
            answer = self._change(opcode, request, node, caller, body)
            # A restore by somebody else may have taken the name meanwhile: then it is made anew.
            return handler(node, caller, body) if answer is None else answer
        handle = self._interrupted.opened.get(request)
        if handle is not None and opcode == Opcode.OPEN:
            found = self._handlers.state.handles.file(handle)
            backing = found.backing if isinstance(found, FileHandle) else 0
            return opened_file(node, handle, requests.open_flags(body), backing)
        if handle is not None and opcode == Opcode.OPENDIR:
            return opened_directory(node, handle)
        if handle is not None and opcode == Opcode.TMPFILE:
            return self._unnamed(handle)
        return handler(node, caller, body)

    def _is_deadly(self, opcode: int, request: int) -> bool:
        words = self._words
        if words[Word.SUSPECT] == request and words[Word.SUSPECT_COUNT] >= _DEATHS_MAX:
            text = "request %d (opcode %d) ended the server %d times: it gets EIO"
            log.error(text, request, opcode, words[Word.SUSPECT_COUNT])
            return True
        if self.suspects.get(request, 0) >= POINTS_MAX:
            text = "servers ended again and again in request %d (opcode %d): it gets EIO"
            log.error(text, request, opcode)
            return True
        return False

    def _command(
        self, opcode: int, node: NodeId, caller: Caller, body: Buffer, kept: object
    ) -> Answer:
        answer = kept if isinstance(kept, bytes) else None
        match opcode:
            case Opcode.READ if answer is None:
                controls = self._handlers.controls
                return controls.last_line(controls.view(node))
            case Opcode.READ:
                return answer
            case Opcode.IOCTL:
                return ioctl_done(self._handlers.ioctls, body, answer)
            case Opcode.WRITE:
                return replies.written(len(requests.write(body)[2]))
            case Opcode.MKDIR:
                entry = self._looked_up(node, requests.mkdir(body)[0], caller)
                return errno.ENOENT if entry is None else entry
            case _:
                return b""

    def _change(
        self, opcode: int, request: int, node: NodeId, caller: Caller, body: Buffer
    ) -> bytes | None:
        """Returns the answer to a change that was done; None if what it made is not there."""
        match opcode:
            case Opcode.CREATE:
                return self._created(request, node, caller, body)
            case Opcode.MKNOD:
                return self._looked_up(node, requests.mknod(body)[0], caller)
            case Opcode.MKDIR:
                return self._looked_up(node, requests.mkdir(body)[0], caller)
            case Opcode.SYMLINK:
                return self._looked_up(node, requests.symlink(body)[0], caller)
            case Opcode.LINK:
                return self._looked_up(node, requests.link(body)[1], caller)
            case _:
                return b""

    def _created(self, request: int, node: NodeId, caller: Caller, body: Buffer) -> bytes | None:
        name, _, flags = requests.create(body)
        entry = self._handlers.names.lookup(node, name, caller)
        if entry is None:
            return None
        handle = self._interrupted.opened.get(request)
        if handle is None:
            handle, entry = self._handlers.files.open_made(entry, flags, caller)
        return self._entry(entry) + opened_file(entry.node, handle)

    def _unnamed(self, handle: HandleId) -> bytes:
        """Returns the answer to the making of a file without a name, which is open already.

        (Without a handle it is made anew: what the dead server made is reaped, nobody holds it.)
        """
        node = self._handlers.state.handles.file(handle).node
        self._handlers.state.nodes.counts.add(node)
        return self._entry(self._handlers.metadata.getattr(node)) + opened_file(node, handle)

    def _looked_up(self, node: NodeId, name: bytes, caller: Caller) -> bytes | None:
        entry = self._handlers.names.lookup(node, name, caller)
        return None if entry is None else self._entry(entry)
