"""OPEN and RELEASE of files, translated to the handlers and back; the direct transport's half.

Apart from the other requests because of what is passed through (`fuse/passthrough.py`).
"""

# ruff: noqa: ARG002 - every request comes with the same three arguments

from pyi_fs.errors import InvalidArgumentError
from pyi_fs.fuse import protocol_requests as requests
from pyi_fs.fuse.commands import REQUEST
from pyi_fs.fuse.direct_entries import opened_file
from pyi_fs.fuse.direct_requests import Answer, Caller, Handler, Later
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.handles import FileHandle, HandleId
from pyi_fs.fuse.ledger import Word
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.passthrough import Passthrough
from pyi_fs.fuse.protocol import Opcode
from pyi_fs.ids import Buffer, NodeId


class Opens:
    """The two requests, by opcode in `table`."""

    def __init__(self, handlers: Handlers, passthrough: Passthrough) -> None:
        """Answers from the handlers of one mount."""
        self._files = handlers.files
        self._reaper = handlers.reaper
        self._handles = handlers.state.handles
        self._passthrough = passthrough
        self._words = handlers.state.ledger.words
        self.table: dict[int, Handler] = {
            Opcode.OPEN: self._open,
            Opcode.RELEASE: self._release,
        }

    def _open(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        flags = requests.open_flags(body)
        wait = None if node & CONTROL_BIT else self._passthrough.prepare(node, flags)
        if wait is None:
            return self._opened(node, flags, caller)

        async def opened() -> Buffer:
            await wait()
            # As in the loop: should this server die, the handle is found by the request.
            self._words[Word.REQUEST] = REQUEST.get()
            try:
                return self._opened(node, flags, caller)
            finally:
                self._words[Word.REQUEST] = 0

        # Nothing is open before the last line, so whoever dies meanwhile leaves nothing.
        return Later(opened, is_read=True)

    def _opened(self, node: NodeId, flags: int, caller: Caller) -> Buffer:
        handle_id = self._files.open(node, flags, caller)
        handle = self._handles.file(handle_id)
        if not isinstance(handle, FileHandle) or handle.view.snapshot is None:
            return opened_file(node, handle_id)
        try:
            backing = self._passthrough.attach(handle, flags)
        except Exception:
            # The kernel closes nothing that it was not told of.
            self._reaper.release(handle_id)
            raise
        return opened_file(node, handle_id, flags, backing)

    def _release(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle_id = HandleId(requests.handle(body))
        try:
            handle = self._handles.get(handle_id)
        except InvalidArgumentError:
            return b""
        self._reaper.release(handle_id)
        if isinstance(handle, FileHandle):
            self._passthrough.released(handle)
        return b""
