"""Which transport a mount has, and what it is made of.

Both stand in front of the same handlers. `auto` is the direct one where the kernel can do it
(docs/decisions/0006-direct-transport.md). pyfuse3 is imported only where it is used.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from pyi_fs.control.session import Session
from pyi_fs.errors import InvalidArgumentError
from pyi_fs.fuse.device import Handshake, kernel_release
from pyi_fs.fuse.direct_notifier import DirectNotifier
from pyi_fs.fuse.direct_transport import DirectTransport
from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.ledger import Ledger, MemoryLedger
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.resent import Resent
from pyi_fs.fuse.state import MountState
from pyi_fs.fuse.takeover import Takeover

AUTO, PYFUSE3, DIRECT = "auto", "pyfuse3", "direct"
NAMES = (AUTO, PYFUSE3, DIRECT)
# Protocol 7.31, which the direct transport needs.
_DIRECT_SINCE = (5, 4)


class Transport(Protocol):
    """Answers the kernel. One of them at a time is pyfuse3's in a process."""

    @property
    def name(self) -> str:
        """Returns which one it is."""

    @property
    def state(self) -> MountState:
        """Returns what its handlers share."""

    @property
    def requests(self) -> Mapping[str, int]:
        """Returns how often each request was made, by name."""

    @property
    def passed_through(self) -> int | None:
        """Returns how many open files the kernel reads itself; None if it never does."""

    @property
    def has_resend(self) -> bool:
        """Returns whether a server that dies can have a successor on this kernel."""

    async def run(self) -> None:
        """Answers requests until the mount is gone or `stop` is called; closes the device."""

    def stop(self) -> None:
        """Ends `run` although the mount is still in use."""


def made(
    name: str,
    session: Session,
    device: int,
    *,
    spin_us: float,
    writeback: bool,
    ready: Callable[[], None],
    polling: Polling,
    ledger: Ledger | None = None,
    is_continued: bool = False,
) -> Transport:
    """Returns the transport of that name for a device, which it takes over.

    `spin_us`: how long to poll for the next request; `writeback`: the kernel's writeback cache.
    `ready` is called once, when requests are answered. `polling`: that of this process. `ledger`:
    where the direct transport notes what a successor needs; `is_continued`: the server before has
    noted things there, and is dead.
    `InvalidArgumentError` for another name.
    """
    name = chosen(name)
    if name == DIRECT:
        facade = Facade(spin_us, polling)
        transport = _direct(
            session, device, facade, writeback, ready, ledger, is_continued=is_continued
        )
        if is_continued:
            assert isinstance(ledger, MemoryLedger), "BUG: going on with nothing"
            interrupted = Takeover(transport.handlers, ledger).restore()
            transport.state.told.succeed()
            transport.go_on(Resent(transport.handlers, ledger, interrupted))
        return transport
    if name == PYFUSE3:
        return _Pyfuse3(session, device, spin_us, polling, writeback=writeback, ready=ready)
    raise InvalidArgumentError(f"no transport '{name}': one of {', '.join(NAMES)}")


def chosen(name: str) -> str:
    """Returns the transport that `auto` stands for here, or the one named."""
    if name == AUTO:
        return DIRECT if kernel_release() >= _DIRECT_SINCE else PYFUSE3
    return name


def _direct(
    session: Session,
    device: int,
    facade: Facade,
    writeback: bool,
    ready: Callable[[], None],
    ledger: Ledger | None,
    *,
    is_continued: bool,
) -> DirectTransport:
    notifier = DirectNotifier(device)
    state = MountState(session, notifier, facade.run_in_thread, ledger=ledger)

    def greeted() -> None:
        # Another epoch would have every name looked up again, and open files said to be deleted.
        if not is_continued:
            notifier.probe()
        ready()

    return DirectTransport(Handlers(state), facade, device, writeback=writeback, ready=greeted)


class _Pyfuse3:
    """pyfuse3, with the handshake of INIT that is ours."""

    name = PYFUSE3
    has_resend = False
    passed_through = None

    def __init__(
        self,
        session: Session,
        device: int,
        spin_us: float,
        polling: Polling,
        *,
        writeback: bool,
        ready: Callable[[], None],
    ) -> None:
        from pyi_fs.fuse import pyfuse3_transport

        handshake = Handshake(device)
        notifier = pyfuse3_transport.KernelNotifier(handshake.session_fd)

        def finish_handshake() -> bool:
            if not handshake.finish():
                return False
            notifier.probe()
            ready()
            return True

        self._pyfuse3 = pyfuse3_transport
        self._session_fd = handshake.session_fd
        self._facade = Facade(spin_us, polling, before_wait=finish_handshake)
        self.state = MountState(session, notifier, self._facade.run_in_thread)
        self._transport = pyfuse3_transport.Transport(Handlers(self.state), writeback=writeback)

    @property
    def requests(self) -> Mapping[str, int]:
        return self._transport.requests

    async def run(self) -> None:
        try:
            await self._pyfuse3.run(self._transport, self._facade, self._session_fd)
        finally:
            self._facade.close()

    def stop(self) -> None:
        self._pyfuse3.stop()
