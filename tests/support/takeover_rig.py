"""A server that dies at a chosen line of our code, and its successor, without a kernel.

The server is a forked process: it ends as if it were killed, with no `finally` and no buffer
written. What it leaves is on the disk and in the ledger, whose memory the processes share.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import trio

import pyi_fs
from pyi_fs.fuse.kept_views import TABLE as VIEWS
from pyi_fs.fuse.ledger import MemoryLedger
from pyi_fs.fuse.protocol import RESENT
from pyi_fs.fuse.resent import Resent
from pyi_fs.fuse.takeover import Takeover
from pyi_fs.ids import NodeId
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.direct_rig import DirectRig
from tests.support.fuse_structs import request

_OURS = os.path.dirname(pyi_fs.__file__)
_CODE_DIED, _CODE_WRONG = 9, 8


class Server(DirectRig):
    """Serves a workspace, noting in a ledger; `serve` also waits for what takes a task."""

    def __init__(
        self,
        directory: Path,
        ledger: MemoryLedger | None = None,
        locks: Mapping[str, int] | None = None,
    ) -> None:
        """Begins, or goes on with the ledger of a server that is dead, and perhaps its locks."""
        is_new = ledger is None
        self.ledger = MemoryLedger() if ledger is None else ledger
        branch = "main" if is_new else self.ledger.table(VIEWS)[0]
        super().__init__(directory, ledger=self.ledger, branch=branch, reaps=is_new)
        if is_new:
            # As the answer to INIT does.
            self.ledger.commit()
        else:
            disk = self.workspace.store.storage.disk
            assert isinstance(disk, DirectoryStorage)
            disk.inherit_locks(locks or {})
            handlers = self.transport.handlers
            interrupted = Takeover(handlers, self.ledger).restore()
            self.transport.go_on(Resent(handlers, self.ledger, interrupted))

    def serve(self, opcode: int, body: bytes, *, node: int = 1, unique: int) -> tuple[int, bytes]:
        """Returns errno and body of the answer to a request."""
        return trio.run(self._serve, request(opcode, body, node=node, unique=unique))

    async def _serve(self, message: bytes) -> tuple[int, bytes]:
        async with trio.open_nursery() as nursery:
            self.transport._nursery = nursery  # noqa: SLF001 - `run` needs a device
            self.put(message)
            _, error, body = await self.answered()
        return error, body

    def counts(self) -> list[NodeId]:
        """Returns which nodes of the root's view the kernel is believed to know."""
        return list(self.state.nodes.counts.between(0, 1 << 40))

    def open_count(self) -> int:
        """Returns how many handles are open."""
        return len(self.state.handles._handles)  # noqa: SLF001

    def leave(self) -> MemoryLedger:
        """Gives files and locks up without writing anything; returns the ledger as it was left."""
        self.close()
        return MemoryLedger(tuple(map(os.dup, self.ledger.descriptors)))


class Lines:
    """Counts the lines of our code that are run, and stops before one."""

    def __init__(self, last: int, stop: Callable[[], object]) -> None:
        """`stop` is called before the line of that number is run."""
        self.count = 0
        self._last, self._stop = last, stop

    def __enter__(self) -> "Lines":
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        if event == "line":
            self.count += 1
            if self.count == self._last:
                self._stop()
        return self._trace


def lines_of(server: Server, opcode: int, body: bytes, node: int) -> int:
    """Returns how many lines a request runs, in a process that is thrown away."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with Lines(-1, bool) as lines:
            server.serve(opcode, body, node=node, unique=1_000_000)
        os.write(writing, lines.count.to_bytes(8, "little"))
        os._exit(0)
    os.close(writing)
    count = int.from_bytes(os.read(reading, 8), "little")
    os.close(reading)
    os.waitpid(child, 0)
    return count


def die_in(server: Server, line: int, opcode: int, body: bytes, node: int, unique: int) -> bool:
    """Has a server die before a line of a request; returns False if it had answered by then."""
    child = os.fork()
    if child == 0:
        try:
            with Lines(line, lambda: os._exit(_CODE_DIED)):
                server.serve(opcode, body, node=node, unique=unique)
        except BaseException:  # noqa: BLE001 - the parent sees the code
            os._exit(_CODE_WRONG)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _CODE_DIED), f"the server failed at line {line}: {code}"
    # What the kernel was told it does not ask again.
    return server.answer() is None


def again(unique: int) -> int:
    """Returns the number of a request that is sent again."""
    return unique | RESENT
