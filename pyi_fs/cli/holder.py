"""The holder of a mount: keeps its descriptors while servers come and go (decision 0008).

A shell that waits. It learns of the end of the first server by the end of a pipe, which says `end`
if the mount is over, and starts the next ones itself, as `pyi_fs.cli.successor`. What it keeps open
for them: the device, the ledger, and the locks of branches and leases (`cli/kept_locks.py`), so
that nobody takes those between two servers.

Source: sh(1) of dash; proc_pid_oom_score_adj(5).
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

from pyi_fs.cli.kept_locks import KeptLocks
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.fuse.device import Mounted
from pyi_fs.fuse.in_flight import DIED, KILLED
from pyi_fs.fuse.ledger import VERSION, MemoryLedger, Word
from pyi_fs.fuse.mount import Holder

log = logging.getLogger(__name__)

MOUNT_TABLE = "mount"
"""Of the ledger: how the mount was made, for the server that goes on with it.

Nothing once it has ended.
"""
GAVE_UP = 3
"""Exit code of a server that does not try again: the holder ends, and with it the mount."""
BUG = 70
"""Exit code of a server that a mistake has ended."""
HAND_OVER = 75
"""Exit code of a server that makes room for the next one."""
HAND_OVER_SIGNAL = signal.SIGUSR1
UNKNOWN_END = 0
"""What stands for the exit code of the first server, which is no child of the holder."""
_KILLED_CODE = 128 + signal.SIGKILL
_SHELL = "/bin/sh"
# Codes 1, 2, 126 and 127 are of a program that could not begin: something is wrong with it, and
# perhaps not for long (it is being installed, which may take a minute: 204 s in all). A server that
# was killed has another code. How the last one ended is the next one's last argument.
_SCRIPT = (
    "trap '' HUP INT TERM; IFS= read -r end; test \"$end\" = end && exit 0; exec </dev/null; "
    'failed=0; code=0; while test $failed -lt 8; do "$@" $code; code=$?; '
    "case $code in 0) exit 0;; 3) exit 1;; "
    "1|2|126|127) failed=$((failed + 1)); sleep $((failed * failed));; *) failed=0;; esac; done; "
    "exit 1"
)
CHECK = "--check"
"""Instead of descriptors: says whether the program can start, and does nothing else."""
_CHECK_SECONDS_MAX = 60.0
_OOM_SCORE = "/proc/{}/oom_score_adj"
_OOM_NEVER = "-1000"
_PATIENCE_SECONDS = 5.0


class ShellHolder:
    """Implements `fuse.mount.Holder`.

    `describe`: makes of the mount what a successor has to know. `locks`: what is kept beside it.
    """

    def __init__(
        self,
        title: str,
        describe: Callable[[Mounted], dict[str, object]],
        locks: KeptLocks,
    ) -> None:
        """Begins nothing yet. `title`: what ps(1) shows of it."""
        self._title = title
        self._describe = describe
        self._locks = locks
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, mounted: Mounted, ledger: MemoryLedger) -> None:
        """Starts the shell."""
        ledger.words[Word.OOM_KILLS] = oom_kills()
        ledger.put(MOUNT_TABLE, 0, self._describe(mounted))
        ledger.commit()
        kept = [mounted.device, *ledger.descriptors, *self._locks.descriptors]
        successor = [*successor_command(), ",".join(map(str, kept))]
        try:
            self._process = subprocess.Popen(
                [_SHELL, "-c", _SCRIPT, self._title, *successor, self._title],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=kept,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            log.warning("the mount ends with this process, nothing can keep it: %s", error)
            return
        with suppress(OSError):
            # It is small, and its death would be the mount's as soon as the server dies.
            Path(_OOM_SCORE.format(self._process.pid)).write_text(_OOM_NEVER)

    @property
    def is_begun(self) -> bool:
        """Returns whether there is somebody to start another server: alive, too."""
        return self._process is not None and self._process.poll() is None

    def end(self) -> None:
        """Ends the shell, which does not start anything any more, and waits for it."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(BrokenPipeError):
            process.stdin.write(b"end\n")
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_SECONDS)


def successor_command() -> list[str]:
    """Returns the command line that starts the next server; its arguments are appended.

    With -P: nothing is imported from a directory that happens to be the current one.
    """
    return [sys.executable, "-P", "-m", "pyi_fs.cli.successor"]


def blame(code: int, *, is_memory_short: bool) -> int:
    """Returns what the end of a server, by its exit code, says against what it had in flight.

    Nothing if it was killed from outside, again and again if need be: a sync, or a command that has
    the kernel flush, may take longer than what such kills leave it. `is_memory_short`: the kernel
    has killed something for want of memory while that server ran.
    """
    if code in (UNKNOWN_END, _KILLED_CODE):
        return KILLED if is_memory_short else 0
    return 0 if code == HAND_OVER else DIED


def oom_kills() -> int:
    """Returns how many processes the kernel has killed so far because memory was short."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def described(request: MountRequest, log: Path, mounted: Mounted) -> dict[str, object]:
    """Returns what a successor has to know of a mount."""
    return {
        "request": request.fields(),
        "log": os.fsencode(log),
        "mountpoint": os.fsencode(mounted.mountpoint),
        "number": mounted.number,
        "oom_score": own_oom_score(),
    }


@contextmanager
def leaving_on_bug(holder: Holder | None) -> Iterator[None]:
    """Leaves a mount that has a holder to the next server if a mistake of ours ends this one.

    At once, as if it were killed: what closes in an orderly way gives locks up.
    """
    try:
        yield
    except BaseException:
        if holder is not None and holder.is_begun:
            log.exception("BUG: the server failed")
            leave_to_successor(BUG)
        raise


class NoNewHolder:
    """Implements `fuse.mount.Holder` for a server that its holder started: its exit code tells.

    But where a server goes on with other mounts, its end comes later: so the ledger tells, too.
    """

    def __init__(self, ledger: MemoryLedger) -> None:
        """`ledger`: what the holder keeps. It is the parent of this process."""
        self._ledger = ledger
        self._parent = os.getppid()

    @property
    def is_begun(self) -> bool:
        """Returns whether the holder lives: else this process has another parent."""
        return os.getppid() == self._parent

    def begin(self, mounted: Mounted, ledger: MemoryLedger) -> None:
        """Nothing."""

    def end(self) -> None:
        """Lets no other server go on with the mount."""
        self._ledger.put(MOUNT_TABLE, 0, None)
        self._ledger.commit()


async def fault_of_program(store: Path, command: Sequence[str] = ()) -> str:
    """Returns why the program that is installed now could not go on with a mount; empty: it could.

    It is started as the next server would be, imports all of it and opens the store.
    """
    done = None
    with trio.move_on_after(_CHECK_SECONDS_MAX):
        done = await trio.run_process(
            [*(command or successor_command()), CHECK, str(store)],
            check=False,
            capture_stdout=True,
            capture_stderr=True,
            stdin=b"",
            cwd="/",
        )
    if done is None:
        return f"the program installed now does not start within {_CHECK_SECONDS_MAX:g} s"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [""]
        return f"the program installed now does not start: {lines[-1]}"
    if done.stdout.split() != [b"notes", str(VERSION).encode()]:
        return "the program installed now notes other things: mount it anew"
    return ""


def own_oom_score() -> str:
    """Returns how readily the kernel ends this process when memory is short."""
    with suppress(OSError):
        return Path(_OOM_SCORE.format("self")).read_text().strip()
    return "0"


def set_oom_score(score: str) -> None:
    """Lets the kernel end this process as readily as the first server, when memory is short.

    It inherits from its holder that it is never to be.
    """
    with suppress(OSError):
        Path(_OOM_SCORE.format("self")).write_text(score)


def leave_to_successor(code: int) -> None:
    """Ends this process as if it were killed: locks and mount stay as they are."""
    os._exit(code)
