"""INIT: what the direct transport asks of a kernel, and what it takes of what that offers.

Each feature, and what happens without it: docs/transport.md.
"""

from typing import NamedTuple

from pyi_fs.errors import UnsupportedError
from pyi_fs.fuse import protocol
from pyi_fs.fuse.protocol import InitFlag, InitRequest

_WANTED = int(
    InitFlag.ASYNC_READ
    | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.EXPORT_SUPPORT
    | InitFlag.BIG_WRITES
    | InitFlag.DO_READDIRPLUS
    | InitFlag.READDIRPLUS_AUTO
    | InitFlag.ASYNC_DIO
    | InitFlag.PARALLEL_DIROPS
    | InitFlag.ABORT_ERROR
    | InitFlag.MAX_PAGES
    | InitFlag.CACHE_SYMLINKS
    | InitFlag.HANDLE_KILLPRIV_V2
    | InitFlag.INIT_EXT
)
# Requests that nobody waits for (read-ahead, write-back) under way at once.
_BACKGROUND_MAX, _CONGESTION = 64, 48


class Agreed(NamedTuple):
    """What kernel and server have agreed on.

    `body`: of the answer. `is_final`: else the kernel asks again, in our version of the protocol.
    """

    body: bytes
    passes_through: bool
    has_resend: bool
    is_final: bool


def wanted(*, writeback: bool, passthrough: bool) -> int:
    """Returns the flags to take if they are offered."""
    flags = _WANTED
    if writeback:
        flags |= InitFlag.WRITEBACK_CACHE
    if passthrough:
        flags |= InitFlag.PASSTHROUGH
    return flags


def agree(offer: InitRequest, flags_wanted: int) -> Agreed:
    """Returns what is taken of an offer; `UnsupportedError` if its protocol is too old."""
    if offer.major < protocol.MAJOR or (
        offer.major == protocol.MAJOR and offer.minor < protocol.MINOR_MIN
    ):
        raise UnsupportedError(
            f"this kernel speaks FUSE {offer.major}.{offer.minor}, 7.31 is needed"
        )
    taken = flags_wanted & offer.flags
    body = protocol.init_reply(
        min(offer.minor, protocol.MINOR_MAX),
        taken,
        offer.readahead_bytes,
        background_max=_BACKGROUND_MAX,
        congestion=_CONGESTION,
    )
    return Agreed(
        body,
        passes_through=bool(taken & InitFlag.PASSTHROUGH),
        has_resend=bool(offer.flags & InitFlag.HAS_RESEND),
        is_final=offer.major == protocol.MAJOR,
    )
