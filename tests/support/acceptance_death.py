"""Where a mount process can be made to kill itself, so that a crash test can aim.

`kill -9` from outside hits the middle of a flush or of an invalidation once in a thousand rounds.
Each of the two counts its moments; the one with the number asked for is the last of the process.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from pyi_fs.engine.branch import Branch
from pyi_fs.fuse.invalidation import Invalidation
from pyi_fs.fuse.writeback import KernelFlush

POINTS = ("flush", "invalidation")


def install(point: str, moment: int) -> None:
    """Makes this process die at its n-th moment of a kind, counted from SIGUSR1 on.

    `flush`: before the files are flushed, before and after each write that arrives meanwhile, and
    when all is flushed and no snapshot taken. `invalidation`: before and after each thing that the
    kernel is told.
    """
    moments = count(1)
    armed = False

    def arm(*_: object) -> None:
        nonlocal armed
        armed = True

    def maybe_die() -> None:
        if armed and next(moments) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGUSR1, arm)

    if point == "flush":
        _in_flush(maybe_die)
    else:
        assert point == "invalidation", f"BUG: no point {point}"
        for name in ("attributes", "all_names", "names"):
            setattr(Invalidation, name, _surrounded(getattr(Invalidation, name), maybe_die))


def _surrounded(call: Callable[..., Any], maybe_die: Callable[[], None]) -> Callable[..., Any]:
    def surrounded(*arguments: Any, **options: Any) -> Any:
        maybe_die()
        try:
            return call(*arguments, **options)
        finally:
            maybe_die()

    return surrounded


def _in_flush(maybe_die: Callable[[], None]) -> None:
    flush: Callable[[KernelFlush], Awaitable[None]] = KernelFlush.__call__
    write = Branch.write
    flushing: list[bool] = []

    async def flushed(self: KernelFlush) -> None:
        maybe_die()
        flushing.append(True)
        try:
            await flush(self)
        finally:
            flushing.pop()
        maybe_die()

    def written(self: Branch, *arguments: Any, **options: Any) -> int:
        if flushing:
            maybe_die()
        length = write(self, *arguments, **options)
        if flushing:
            maybe_die()
        return length

    KernelFlush.__call__ = flushed  # type: ignore[method-assign]
    Branch.write = written  # type: ignore[method-assign]
