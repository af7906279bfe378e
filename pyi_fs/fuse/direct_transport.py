"""The kernel's FUSE protocol on `/dev/fuse` itself: the loop in front of the handlers.

`readv` into one buffer, `writev` of header and body. What can be answered from memory is answered
before the next request is read, without a task; what waits gets a task, and the loop goes on
(`fuse/direct_requests.py` says which is which). Polling, fairness and threads are the facade's.

Whatever the kernel sends, the mount lives on: an opcode we do not know is `ENOSYS`, a body we
cannot read `EIO` to its caller, a request without a header is dropped.

Source: include/uapi/linux/fuse.h; fs/fuse/dev.c of Linux 6.18 for what the device returns when.
"""

import errno
import logging
import os
import select
from collections.abc import Callable
from functools import partial

import trio

from pyi_fs.control.beside import THREAD
from pyi_fs.errors import MalformedRequestError, UnsupportedError
from pyi_fs.fuse import greeting, protocol
from pyi_fs.fuse.aside import Aside
from pyi_fs.fuse.backings import KernelBackings, is_permitted
from pyi_fs.fuse.callers import is_dying
from pyi_fs.fuse.commands import REQUEST
from pyi_fs.fuse.direct_ioctls import ioctl
from pyi_fs.fuse.direct_opens import Opens
from pyi_fs.fuse.direct_requests import Answer, Caller, Command, Handler, Later, Requests
from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.in_flight import InFlight
from pyi_fs.fuse.ledger import Word
from pyi_fs.fuse.passthrough import Passthrough
from pyi_fs.fuse.protocol import Opcode
from pyi_fs.fuse.resent import Resent, noting_changes
from pyi_fs.fuse.translate import Translator, report
from pyi_fs.ids import Buffer

log = logging.getLogger(__name__)

# The connection is gone: unmounted, or aborted.
_ENDED = frozenset((errno.ENODEV, errno.ECONNABORTED))
# Nothing to read after all: another one took it, or its caller gave up.
_NOTHING_THERE = frozenset((errno.EAGAIN, errno.EINTR, errno.ENOENT))
# In a row: a device that gives nothing but errors must not be asked for ever.
_FAILURES_MAX = 1000
# From here on a body is handed over by itself instead of being copied behind its header.
_COPIED_BYTES_MAX = 4096
# Asked for once in the life of a mount; from then on the kernel does without (docs/transport.md).
_UNKNOWN = frozenset((Opcode.FLUSH, Opcode.ACCESS, Opcode.POLL, Opcode.BMAP))
_UNANSWERED = frozenset((Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY))
# What answering says of a caller that gave up, or when the mount is gone.
_NOT_WAITED_FOR = _ENDED | {errno.ENOENT}
_REQUEST_MASK = protocol.RESENT - 1
_REQUEST, _COUNTED = Word.REQUEST.value, Word.COUNTED.value


class DirectTransport:
    """Implements `transports.Transport` on the device."""

    name = "direct"

    def __init__(
        self,
        handlers: Handlers,
        facade: Facade,
        device: int,
        *,
        writeback: bool,
        ready: Callable[[], None],
    ) -> None:
        """Takes over the descriptor.

        `writeback`: the kernel's writeback cache, whose promises are others. `ready` is called once
        the kernel was told what we speak.
        """
        self.handlers = handlers
        self.state = handlers.state
        self._facade = facade
        self._device = device
        self._ready = ready
        self.translator = Translator()
        self._passthrough = Passthrough(handlers.state, KernelBackings(device))
        passthrough = not writeback and is_permitted()
        self._wanted = greeting.wanted(writeback=writeback, passthrough=passthrough)
        table = Requests(handlers, writeback=writeback).table
        table.update(Opens(handlers, self._passthrough).table)
        table[Opcode.IOCTL] = partial(ioctl, handlers.ioctls)
        self._handlers = noting_changes(handlers.state, table)
        self._counts: dict[int, int] = {}
        self.buffer = bytearray(protocol.REQUEST_BYTES_MAX)
        self._view = memoryview(self.buffer)
        self._aside = Aside(self.take, facade)
        facade.before_sleep = self._aside.finish
        self._caller = Caller(0, 0)
        self._reads: dict[int, tuple[int, trio.CancelScope]] = {}
        self._nursery: trio.Nursery | None = None
        self._is_greeted = False
        self._too_old: UnsupportedError | None = None
        self._ledger = handlers.state.ledger
        self._words = self._ledger.words
        self._told = handlers.state.told
        self._in_flight = InFlight(self._words)
        self._is_unproven = False
        self._resent: Resent | None = None
        self._unsettled: Resent | None = None
        self.has_resend = False
        """Whether the kernel can send again what a dead server has left unanswered."""

    @property
    def requests(self) -> dict[str, int]:
        """Returns how often each request was made, by name."""
        return {protocol.name_of(opcode): count for opcode, count in self._counts.items()}

    @property
    def passed_through(self) -> int | None:
        """Returns how many open files the kernel reads itself; None if it never does."""
        return self._passthrough.open_count if self._passthrough.is_on else None

    async def run(self) -> None:
        """Answers requests until the mount is gone or `stop` is called; closes the device.

        `UnsupportedError` if the kernel's protocol is too old.
        """
        os.set_blocking(self._device, False)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._passthrough.run)
                await self._serve()
                nursery.cancel_scope.cancel()
        finally:
            self._facade.close()
            os.close(self._device)
        if self._too_old is not None:
            raise self._too_old

    def go_on(self, resent: Resent) -> None:
        """Goes on where a dead server was, instead of waiting for INIT."""
        self._is_greeted = self.has_resend = True
        self._passthrough.is_on = bool(self._words[Word.PASSES_THROUGH])
        self._resent = self._unsettled = resent
        self._in_flight.suspects = resent.suspects

    def stop(self) -> None:
        """Ends `run` although the mount is still in use."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        device, buffer, view, readv = self._device, self.buffer, self._view, os.readv
        facade, is_greeted, failures = self._facade, False, 0
        buffers, take = (buffer,), self._aside.take
        self._is_unproven = self._has_asked_again()
        while self._too_old is None:
            if self._is_greeted is not is_greeted:
                is_greeted = True
                self._ready()
            if not facade.is_ready(device):
                await facade.sleep(device)
            try:
                length = readv(device, buffers)
            except OSError as error:
                if error.errno in _NOTHING_THERE:
                    facade.was_not_ready()
                    continue
                if error.errno in _ENDED:
                    return
                # That request has failed, and whoever made it was told by the kernel.
                self.translator.errno_of(error, "device")
                failures += 1
                if failures > _FAILURES_MAX:
                    raise
                continue
            if length == 0:
                return
            failures = 0
            take(buffer, view, length)

    def _has_asked_again(self) -> bool:
        """Has the kernel send again what a dead server left; returns whether there is anything.

        If not, nobody waits: whatever ended the servers before, it was no request.
        """
        if self._resent is None:
            return False
        os.write(self._device, protocol.resend())
        poll = select.poll()
        poll.register(self._device, select.POLLIN)
        if poll.poll(0):
            return True
        self._words[Word.UNANSWERED] = 0
        return False

    def take(self, buffer: bytearray, view: memoryview, length: int) -> None:
        """Answers the request of so many bytes in a buffer, or sees to it that it will be.

        `view`: of the whole buffer.
        """
        try:
            header = protocol.header(buffer, length)
        except MalformedRequestError as error:
            self._refuse_malformed(buffer, length, error)
            return
        _, opcode, unique, node, uid, gid, pid, extension_words, _ = header
        counts = self._counts
        counts[opcode] = counts.get(opcode, 0) + 1
        caller = self._caller
        if uid != caller.uid or gid != caller.gid:
            caller = self._caller = Caller(uid, gid)
        self._told.thread = pid
        body = view[protocol.IN_HEADER_BYTES : length - 8 * extension_words]
        handler = self._handlers.get(opcode)
        answer: Answer
        words = self._words
        # In this order: what another request has counted is not to be taken back for this one.
        words[_COUNTED] = 0
        words[_REQUEST] = unique & _REQUEST_MASK
        try:
            if unique >= protocol.RESENT:
                handler = self._again(opcode, unique, handler)
            elif self._unsettled is not None and opcode not in _UNANSWERED:
                # The kernel puts what it sends again before all that is new (fuse_resend).
                self._unsettled.settle()
                self._unsettled = None
            if handler is None:
                answer = self._unusual(opcode, unique, body)
            else:
                answer = handler(node, caller, body)
        except Exception as error:  # noqa: BLE001 - the one translator decides and logs
            number = self.translator.errno_of(error, protocol.name_of(opcode))
            answer = None if opcode in _UNANSWERED else number
        if isinstance(answer, bytes):
            # Nearly always.
            self._answer(unique, answer)
        elif isinstance(answer, int):
            self._refuse(unique, answer)
        elif answer is not None:
            self._see_to(opcode, unique, pid, answer)
        words[_REQUEST] = 0

    def _refuse_malformed(
        self, buffer: bytearray, length: int, error: MalformedRequestError
    ) -> None:
        self.translator.errno_of(error, "device")
        if length >= protocol.IN_HEADER_BYTES:
            self._refuse(int.from_bytes(buffer[8:16], "little"), errno.EIO)

    def _again(self, opcode: int, unique: int, handler: Handler | None) -> Handler | None:
        """Returns what answers a request that was sent again."""
        if handler is None or self._resent is None:
            return handler
        return self._resent.handler(opcode, unique, handler)

    def _unusual(self, opcode: int, unique: int, body: Buffer) -> Answer:
        if opcode == Opcode.INIT:
            self._greet(unique, body)
        elif opcode == Opcode.INTERRUPT:
            self._interrupt(body)
        elif opcode == Opcode.DESTROY:
            return b""
        elif opcode != Opcode.NOTIFY_REPLY:
            if opcode not in _UNKNOWN:
                log.info("the kernel asked for %s", protocol.name_of(opcode))
            return errno.ENOSYS
        return None

    def _greet(self, unique: int, body: Buffer) -> None:
        offer = protocol.init_request(body)
        if self._is_greeted:
            raise MalformedRequestError("INIT twice")
        try:
            agreed = greeting.agree(offer, self._wanted)
        except UnsupportedError as error:
            self._refuse(unique, errno.EPROTO)
            self._too_old = error
            return
        self.has_resend = agreed.has_resend
        self._is_greeted = agreed.is_final
        self._passthrough.is_on = agreed.passes_through
        self._words[Word.PASSES_THROUGH] = agreed.passes_through
        self._answer(unique, agreed.body)

    def _see_to(
        self, opcode: int, unique: int, thread: int, answer: Later | Command | Buffer
    ) -> None:
        """Has a task answer, or answers with what a command that is done has left to say."""
        if isinstance(answer, Later):
            self._begin(opcode, unique, thread, answer)
        elif not isinstance(answer, Command):
            self._answer(unique, answer)
        elif self.state.invalidation.is_settled:
            self._answer(unique, answer.body)
            self.state.commands.answered(unique & _REQUEST_MASK)
        else:
            later = partial(self.state.invalidation.settled, answer.body)
            self._begin(opcode, unique, thread, Later(later))

    def _begin(self, opcode: int, unique: int, thread: int, later: Later) -> None:
        # No more of them than clients that wait, and the read-ahead that INIT allows.
        assert self._nursery is not None, "BUG: a request outside the loop"
        self._facade.begin_task()
        scope = trio.CancelScope()
        if later.is_read:
            self._reads[unique] = (thread, scope)
        request, place = unique & _REQUEST_MASK, 0
        if request in self._in_flight.suspects:
            later = later._replace(body=partial(self._in_flight.tried, request, later.body))
        else:
            place = self._in_flight.begin(request)
        # The task begins with it.
        THREAD.set(thread)
        self._nursery.start_soon(self._finish, opcode, unique, later, scope, place)

    async def _finish(
        self, opcode: int, unique: int, later: Later, scope: trio.CancelScope, place: int
    ) -> None:
        request = unique & _REQUEST_MASK
        REQUEST.set(request)
        try:
            with scope:
                try:
                    body = await later.body()
                except Exception as error:  # noqa: BLE001 - the one translator decides and logs
                    self._refuse(unique, self.translator.errno_of(error, protocol.name_of(opcode)))
                else:
                    self._answer(unique, body)
            if scope.cancelled_caught:
                self._refuse(unique, errno.EINTR)
            self._in_flight.end(place)
        finally:
            self.state.commands.answered(request)
            self._reads.pop(unique, None)
            self._facade.end_task()

    def _interrupt(self, body: Buffer) -> None:
        """Gives up a read from a disk if its caller is dying.

        Everything else is waited for, as on a disk: a signal that is survived must not fail a read,
        and what we cannot find has been answered meanwhile.
        """
        found = self._reads.get(protocol.interrupted(body))
        if found is not None and is_dying(found[0]):
            found[1].cancel()

    def _answer(self, unique: int, body: Buffer) -> None:
        if self._ledger.pending:
            self._ledger.commit()
        try:
            header = protocol.answer_header(unique, len(body))
            if len(body) <= _COPIED_BYTES_MAX:
                os.write(self._device, header + body)
            else:
                os.writev(self._device, (header, body))
        except OSError as error:
            if error.errno not in _NOT_WAITED_FOR:
                report(f"BUG: the kernel refuses an answer ({error})")
                self._refuse(unique, errno.EIO)
        if self._is_unproven:
            self._prove()

    def _refuse(self, unique: int, number: int) -> None:
        if self._ledger.pending:
            self._ledger.commit()
        try:
            os.write(self._device, protocol.refusal(unique, number))
        except OSError as error:
            if error.errno not in _NOT_WAITED_FOR:
                report(f"BUG: the kernel refuses a refusal ({error})")
        if self._is_unproven:
            self._prove()

    def _prove(self) -> None:
        """This server has answered something: its end is none of those that end a mount."""
        self._is_unproven = False
        self._words[Word.UNANSWERED] = 0
