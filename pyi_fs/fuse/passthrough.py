"""Files that the kernel reads itself, from plain files of the store (FUSE_PASSTHROUGH).

Of snapshots alone: an open that is passed through cannot be taken back, and nothing the kernel
offers would keep its readers right once somebody writes (decision 0009).

Invariants:
- A node is open passed through by all its handles or by none, and then by one id of the kernel's:
  anything else is `EIO` from the kernel (fs/fuse/iomode.c).
- A handle's `backing` is that id, 0 if it is ordinary. The id is closed with the node's last
  handle. Nothing else is kept of what is open.
- Only what a plain file was found or made for is passed through; that happens in a thread, and an
  open waits for it a bounded moment.

Source: include/uapi/linux/fuse.h, fs/fuse/passthrough.c and iomode.c of Linux 6.18.
"""

import errno
import logging
import math
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from pyi_fs import limits
from pyi_fs.engine.materialising import Materialiser
from pyi_fs.fuse.backings import Backings
from pyi_fs.fuse.handles import FileHandle
from pyi_fs.fuse.nodes import VIEW_BITS
from pyi_fs.fuse.state import MountState
from pyi_fs.fuse.translate import report
from pyi_fs.ids import InodeNumber, NodeId, ViewNumber
from pyi_fs.model.inode import Inode
from pyi_fs.store.plain_files import PlainFile

log = logging.getLogger(__name__)

# Nothing is wrong with passing through: there is no memory or descriptor just now.
_PASSING = frozenset((errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR))
# `O_DIRECT` works unaligned here, which the disk below need not allow.
_ORDINARY = os.O_TRUNC | os.O_DIRECT

_Place = tuple[ViewNumber, InodeNumber]


class _Known(NamedTuple):
    """The plain file of a file, None if there can be none now; looked at again after `until`."""

    file: PlainFile | None
    until: float


class Passthrough:
    """Decides which opens of a mount are passed through, and sees to their plain files."""

    def __init__(self, state: MountState, backings: Backings) -> None:
        """Passes nothing through until `is_on` is set: when the kernel has agreed."""
        self.is_on = False
        self._nodes = state.nodes
        self._views = state.session.views
        self._handles = state.handles
        self._run_in_thread = state.run_in_thread
        self._storage = state.session.workspace.store.storage
        self._materialiser = Materialiser(state.session.workspace.store)
        self._backings = backings
        self._known: OrderedDict[_Place, _Known] = OrderedDict()
        self._waited_for: dict[_Place, trio.Event] = {}
        # Until then, opens do not wait: one has waited in vain, perhaps for a process that hangs.
        self._impatient_until = -math.inf
        self._send, self._receive = trio.open_memory_channel[tuple[_Place, Inode]](
            limits.PLAIN_KNOWN_MAX
        )

    @property
    def open_count(self) -> int:
        """Returns how many open files are passed through."""
        return sum(
            handle.backing != 0 for _, handles in self._handles.open_files() for handle in handles
        )

    async def run(self) -> None:
        """Finds and makes plain files; runs until cancelled. Sleeps while nobody opens any."""
        async with trio.open_nursery() as nursery:
            for _ in range(limits.PLAIN_THREADS_MAX):
                nursery.start_soon(self._work)

    def prepare(self, node: NodeId, flags: int) -> Callable[[], Awaitable[None]] | None:
        """Returns what to wait for before a file is opened, None if nothing.

        Waits until its plain file is there, or as long as an open may wait.
        """
        if not self.is_on or flags & _ORDINARY or flags & os.O_ACCMODE != os.O_RDONLY:
            return None
        shown = self._views.get(ViewNumber(node >> VIEW_BITS))
        if shown is None or shown.snapshot is None:
            # Nearly every open; what a publish has moved is not worth finding.
            return None
        view, number = self._nodes.place(node)
        if view.snapshot is None or self._handles.is_open(node):
            return None
        inode = view.tree.existing(number)
        is_large = limits.PLAIN_FILE_BYTES_MIN <= inode.size <= limits.PLAIN_FILE_BYTES_MAX
        if not (inode.is_file and is_large):
            return None
        place = (view.number, number)
        return None if self._is_known(place) else self._asked_for(place, inode)

    def attach(self, handle: FileHandle, flags: int) -> int:
        """Returns by which id of the kernel's a file that was just opened is passed through.

        0: it is not.
        """
        others = [other for other in self._handles.files(handle.node) if other is not handle]
        if others:
            backing = others[0].backing
        elif flags & _ORDINARY:
            backing = 0
        else:
            backing = self._opened((handle.view.number, handle.number))
        if backing:
            assert not handle.writable, "BUG: a file that can be written is passed through"
            self._handles.pass_through(handle, backing)
        return backing

    def released(self, handle: FileHandle) -> None:
        """A handle was closed: gives the kernel's id up with the node's last one."""
        if handle.backing and not self._handles.is_open(handle.node):
            try:
                self._backings.close(handle.backing)
            except OSError as error:
                log.warning("the kernel does not let go of a plain file: %s", error)

    def _is_known(self, place: _Place) -> bool:
        known = self._known.get(place)
        if known is None:
            return False
        now = trio.current_time()
        if known.file is None:
            return now < known.until
        self._known.move_to_end(place)
        if now >= known.until:
            # In use: it shall not make room for others.
            self._storage.touch(known.file.path)
            self._note(place, known.file)
        return True

    def _asked_for(self, place: _Place, inode: Inode) -> Callable[[], Awaitable[None]] | None:
        event = self._waited_for.get(place)
        if event is None:
            try:
                self._send.send_nowait((place, inode))
            except trio.WouldBlock:
                return None
            event = self._waited_for[place] = trio.Event()
        if trio.current_time() < self._impatient_until:
            return None
        made = event

        async def wait() -> None:
            with trio.move_on_after(limits.PLAIN_WAIT_SECONDS) as scope:
                await made.wait()
            if scope.cancelled_caught:
                self._impatient_until = trio.current_time() + limits.PLAIN_LOOK_SECONDS

        return wait

    async def _work(self) -> None:
        async for place, inode in self._receive:
            try:
                await self._look_for(place, inode)
            except Exception as error:  # noqa: BLE001 - our mistake, and no reason to end a mount
                report("BUG: a plain file", error)
            finally:
                self._impatient_until = -math.inf
                self._waited_for.pop(place).set()

    async def _look_for(self, place: _Place, inode: Inode) -> None:
        """Notes the plain file of a file, or that there can be none now."""
        file: PlainFile | None = None
        try:
            file = await self._run_in_thread(self._materialiser.plain, inode, abandonable=True)
        finally:
            self._note(place, file)

    def _note(self, place: _Place, file: PlainFile | None) -> None:
        self._known[place] = _Known(file, trio.current_time() + limits.PLAIN_LOOK_SECONDS)
        self._known.move_to_end(place)
        if len(self._known) > limits.PLAIN_KNOWN_MAX:
            self._known.popitem(last=False)

    def _opened(self, place: _Place) -> int:
        """Returns a new id for the plain file of a file, 0 if there is none or it cannot be had."""
        known = self._known.get(place) if self.is_on else None
        if known is None or known.file is None:
            return 0
        try:
            return self._backings.open(self._storage.host_path(known.file.path))
        except FileNotFoundError:
            # Evicted: the next open has it made again.
            del self._known[place]
        except OSError as error:
            if error.errno not in _PASSING:
                self.is_on = False
                log.warning("files are not passed through from now on: the kernel says %s", error)
        return 0
