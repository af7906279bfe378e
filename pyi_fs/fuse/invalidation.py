"""What the kernel must forget when a publish is done, told so that nothing waits on our own mount.

- Names: one notification makes every dentry of the mount be looked up again
  (`FUSE_NOTIFY_INC_EPOCH`, Linux 6.16). It takes no lock, so the request loop may send it, and when
  it is sent no path walk uses an old name or negative entry.
- Attributes: `FUSE_NOTIFY_INVAL_INODE` without a data range, which takes no lock either. A
  directory whose listing the kernel keeps (direct transport) gets a range too. A file never does:
  it would wait for pages whose reads wait for us.
- Older kernels, and mounts with a holder while something is mounted inside, which an epoch would
  take away: `FUSE_NOTIFY_INVAL_ENTRY` for each changed name. It takes the lock of the parent
  directory, which a client that waits for us may hold: so a worker thread sends it while the loop
  goes on answering, and the control write that published is answered when it is done. If this
  process is killed at that moment, the thread holds `/dev/fuse` open until the lock is free: with
  a holder when the next server has answered, without one never (design.md 3, *never wait on your
  own mount*).

Source: fs/fuse/dev.c and fs/fuse/dir.c of Linux 6.18.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import trio

from pyi_fs.ids import Buffer, NodeId

NAMES_TOLD_MAX = 10_000
"""What is mounted inside is then lost: more are forgotten all at once, where the kernel can."""


def _nothing_is_spared() -> bool:
    return False


class Notifier(Protocol):
    """How a transport tells the kernel; an unknown node or name is not an error."""

    @property
    def has_epoch(self) -> bool:
        """Returns whether `epoch` works on this kernel."""

    def epoch(self) -> None:
        """Makes every dentry be looked up again at its next use. Takes no lock."""

    def store(self, node: NodeId, data: Buffer) -> None:
        """Puts the first bytes of a file into the kernel's cache.

        Takes the locks of its pages: only while nobody has the file open (`fuse/prefill.py`).
        """

    def attributes(self, node: NodeId) -> None:
        """Drops the attributes of a node. Takes no lock."""

    def listing(self, node: NodeId) -> None:
        """Drops the attributes of a directory, and the listing if the kernel keeps it.

        Waits for no request: only a copy within the kernel locks a listing's pages.
        """

    def entry(self, parent: NodeId, name: bytes) -> None:
        """Drops one dentry.

        BLOCKS while a request for that directory is answered: never from the loop.
        """


class Invalidation:
    """Collects what one publish changed and tells the kernel."""

    def __init__(
        self, notifier: Notifier, run_in_thread: Callable[[Callable[[], None]], Awaitable[None]]
    ) -> None:
        """Begins with nothing to tell."""
        self._notifier = notifier
        self._run_in_thread = run_in_thread
        self._entries: list[tuple[NodeId, bytes]] = []
        self._telling = trio.Lock()
        self.spares_names: Callable[[], bool] = _nothing_is_spared
        """Returns whether names that did not change must not be forgotten."""

    @property
    def wants_names(self) -> bool:
        """Returns whether `names` is to be told the changed names, instead of `all_names`.

        May be another answer a moment later: ask once for each publish.
        """
        return not self._notifier.has_epoch or self.spares_names()

    def attributes(self, node: NodeId) -> None:
        """Has the attributes of a node asked for again."""
        self._notifier.attributes(node)

    def listing(self, node: NodeId) -> None:
        """Has a directory asked for its attributes and listed again."""
        self._notifier.listing(node)

    def all_names(self) -> None:
        """Has every name looked up again; nothing if the kernel cannot, then use `names`."""
        if self._notifier.has_epoch:
            self._notifier.epoch()

    def names(self, names: Collection[tuple[NodeId, bytes]]) -> None:
        """Has names looked up again, once `settled` was waited for; very many: all, at once."""
        if len(names) > NAMES_TOLD_MAX and self._notifier.has_epoch:
            self._notifier.epoch()
        else:
            self._entries.extend(names)

    @property
    def is_settled(self) -> bool:
        """Returns whether `settled` has nothing to wait for."""
        return not self._entries and not self._telling.locked()

    async def settled(self, answer: bytes = b"") -> bytes:
        """Returns what is given when the kernel has forgotten everything it was to forget.

        Also what another call has begun to tell.
        """
        if self.is_settled:
            return answer
        async with self._telling:
            while self._entries:
                entries, self._entries = self._entries, []

                def tell(entries: list[tuple[NodeId, bytes]] = entries) -> None:
                    for parent, name in entries:
                        self._notifier.entry(parent, name)

                await self._run_in_thread(tell)
        return answer
