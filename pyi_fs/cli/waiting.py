"""Waiting for the process of a mount, with a bound: what could hang is done by another process.

A request to a mount whose process is stopped, or waits for a dead disk, is answered when that goes
on, which may be never; who asked cannot even be killed once the request was taken. So a child asks,
and is left behind where it does not come back.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from pyi_fs.errors import BusyError

_LOOK_SECONDS = 0.2
_STOPPED = "Tt"


class Patience:
    """How long a mount is waited for, and what is said when it does not answer.

    `pid`: the process that serves it, if that is known: while it is stopped nothing is waited for.
    """

    def __init__(self, what: str, pid: int | None, seconds: float) -> None:
        """Begins to count with each wait."""
        self._what = what
        self._pid = pid
        self._seconds = seconds

    def call(self, function: Callable[[], int]) -> int:
        """Returns the small number that a function returns in a child; 255 if it raises.

        `BusyError` if that takes too long. For programs of one thread.
        """
        child = os.fork()
        if not child:
            code = 255
            try:
                code = function()
            finally:
                os._exit(code)
        self.wait(child)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def wait(self, child: int) -> None:
        """Returns when a child has ended; its status is still to be asked for.

        `BusyError` if that takes too long: it is killed then, and not waited for.
        """
        watched = os.pidfd_open(child)
        try:
            end = time.monotonic() + self._seconds
            while not select.select([watched], [], [], _LOOK_SECONDS)[0]:
                self._check(end)
        except BaseException:
            signal.pidfd_send_signal(watched, signal.SIGKILL)
            raise
        finally:
            os.close(watched)

    def _check(self, end: float) -> None:
        state = state_of(self._pid) if self._pid is not None else ""
        process = f"its process {self._pid}" if state else "its process"
        if state and state in _STOPPED:
            raise BusyError(
                f"{self._what}: {process} is stopped; let it go on (kill -CONT {self._pid}) or "
                f"end it (kill -KILL {self._pid})"
            )
        if time.monotonic() > end:
            waits = " and waits for a disk" if state == "D" else ""
            raise BusyError(f"{self._what}: {process} takes more than {self._seconds:.0f} s{waits}")


def state_of(pid: int) -> str:
    """Returns the letter of a process's state (proc_pid_stat(5)); empty if it is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]
