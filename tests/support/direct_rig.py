"""The direct transport with a socket in the place of the device: the tests are the kernel."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import trio

from pyi_fs.fuse.direct_transport import DirectTransport
from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.polling_tokens import PollingTokens
from pyi_fs.fuse.protocol import Opcode
from tests.support.fuse_rig import Rig
from tests.support.fuse_structs import EntryOut, InitIn, OpenOut, OutHeader, request

HEADER_BYTES = 16
OFFERED = (1 << 64) - 1


class DirectRig(Rig):
    """Handlers of a new workspace behind the direct transport."""

    def __init__(self, directory: Path, *, writeback: bool = False, **options: Any) -> None:
        """Begins before INIT; `options` are those of `Rig`."""
        super().__init__(directory, **options)
        self.facade = Facade(0, Polling(PollingTokens(0)))
        # MountState took a function that the facade's stands in for; both run threads of trio.
        self.state.run_in_thread = self.facade.run_in_thread
        self.kernel_side, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.kernel_side, ours):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.greeted = 0
        self._unique = 0
        self.transport = DirectTransport(
            Handlers(self.state),
            self.facade,
            ours.fileno(),
            writeback=writeback,
            ready=self._greeted,
        )
        self._ours = ours
        self.transport_fd = ours.fileno()
        self.is_ended = False

    def close(self) -> None:
        """Closes everything."""
        self.kernel_side.close()
        self._ours.close()
        super().close()

    def ask(
        self, opcode: int, body: bytes = b"", *, node: int = 1, uid: int = 0, gid: int = 0
    ) -> tuple[int, bytes]:
        """Returns errno (0: none) and body of the answer to a request that needs no waiting."""
        self._unique += 2
        message = request(opcode, body, node=node, unique=self._unique, uid=uid, gid=gid)
        self.put(message)
        answer = self.answer()
        assert answer is not None, f"no answer to {opcode}"
        assert answer[0] == self._unique
        return answer[1:]

    def put(self, message: bytes) -> None:
        """Has the transport take a message as it would from the device."""
        buffer = self.transport.buffer
        buffer[: len(message)] = message
        self.transport.take(buffer, memoryview(buffer), len(message))

    def answer(self) -> tuple[int, int, bytes] | None:
        """Returns the next answer: request, errno and body; None if there is none."""
        try:
            message = self.kernel_side.recv(2 << 20)
        except BlockingIOError:
            return None
        header = OutHeader.from_buffer_copy(message)
        assert header.len == len(message)
        return header.unique, -header.error, message[HEADER_BYTES:]

    async def answered(self) -> tuple[int, int, bytes]:
        """Returns the next answer, waited for."""
        while (answer := self.answer()) is None:
            await trio.lowlevel.wait_readable(self.kernel_side)
        return answer

    def lookup(self, name: str, parent: int = 1) -> Any:
        """Returns what a name is, an `EntryOut`."""
        error, body = self.ask(Opcode.LOOKUP, name.encode() + b"\0", node=parent)
        assert error == 0
        return EntryOut.from_buffer_copy(body)

    def opened(self, node: int, flags: int = 0, opcode: int = Opcode.OPEN) -> Any:
        """Returns the answer to an open, an `OpenOut`."""
        error, body = self.ask(opcode, flags.to_bytes(8, "little"), node=node)
        assert error == 0
        return OpenOut.from_buffer_copy(body)

    @contextlib.asynccontextmanager
    async def running(self, *, minor: int = 45) -> AsyncIterator[trio.Nursery]:
        """Runs the loop, INIT answered; ends it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            self.kernel_side.send(init(minor))
            await self.answered()
            yield nursery
            self.transport.stop()

    async def run(self) -> None:
        """Runs the loop until it ends."""
        try:
            await self.transport.run()
        finally:
            # The loop closed it.
            self._ours.detach()
            self.is_ended = True

    def _greeted(self) -> None:
        self.greeted += 1


def init(minor: int = 45, flags: int = OFFERED, *, major: int = 7) -> bytes:
    """Returns an INIT request that offers everything."""
    body = InitIn(major, minor, 131072, flags & 0xFFFFFFFF, flags >> 32)
    return request(Opcode.INIT, bytes(body), node=0)
