"""Having a mount with the kernel's writeback cache write out what the kernel holds back.

For commands that read a branch beside its mount: what programs wrote is in the kernel's cache, and
the journal has it only once the kernel wrote it. Any read of a control file makes the mount have
files that are open for writing flushed first (`fuse/writeback.py`).

A program of its own reads it: who waits for a mount that is stuck cannot be interrupted, not even
by SIGKILL once the request was taken. What does not end in time is left behind, and ends when the
mount does.
"""

import json
import os
import select
import signal
import time

from pyi_fs.cli.live_mounts import LiveMount, live_mounts
from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE, mount_at
from pyi_fs.engine.branch_locks import BranchLocks
from pyi_fs.errors import BusyError
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.store.storage import Storage

# Longer than any mount needs to write out what a kernel lets it hold back: a fifth of the memory.
FLUSH_SECONDS_MAX = 60.0
_ENDING_SECONDS_MAX = 10.0
_LOOK_SECONDS = 0.05
_STATUS_BYTES_MAX = 1 << 20


def flush_branch(storage: Storage, workspace: WorkspaceName, branch: BranchName) -> None:
    """Returns when what was written to a branch before the call is in its journal.

    At once where no mount holds anything back. `BusyError` if the mount that does cannot be asked,
    or its disk did not take all of it.
    """
    deadline = time.monotonic() + _ENDING_SECONDS_MAX
    while (mount := _holding_back(storage, workspace, branch)) is not None:
        why = _asked(mount)
        if not why:
            return
        # One that was just unmounted has written everything, and its process is about to end.
        if _is_here(mount) or time.monotonic() > deadline:
            raise BusyError(
                f"branch '{branch}' of '{workspace}' is mounted with --writeback at "
                f"{mount.mountpoint}, which {why}: name a snapshot of it, or end that mount"
            )
        time.sleep(_LOOK_SECONDS)


def _holding_back(
    storage: Storage, workspace: WorkspaceName, branch: BranchName
) -> LiveMount | None:
    """Returns the mount that writes a branch, if the kernel holds back what is written to it."""
    holder = BranchLocks(storage, workspace).holding_process(branch)
    for mount in live_mounts(storage):
        if (mount.workspace, mount.pid, mount.writeback) == (workspace, holder, True):
            return mount
    return None


def _asked(mount: LiveMount) -> str:
    """Returns why a mount did not do it, empty if it did."""
    control = f"{_seen_at(mount)}/.pyi"
    answer = _output(["cat", f"{control}/status"])
    if answer is None:
        return f"did not answer within {FLUSH_SECONDS_MAX:g} s"
    try:
        found = json.loads(answer)
        is_it = (found["workspace"], found["mountpoint"]) == (mount.workspace, mount.mountpoint)
        unwritten = found.get("unwritten")
    except (ValueError, KeyError, TypeError):
        is_it, unwritten = False, None
    if not is_it:
        return "cannot be asked from here to write it out"
    if not unwritten:
        return ""
    # This command is refused for it, so the mount need not refuse another: a sync is refused.
    _output(["sync", f"{control}/snapshot"])
    return f"could not write all of it out ({unwritten})"


def _output(command: list[str]) -> bytes | None:
    """Returns what a program prints, None if it has not ended in time."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # The C library's way, not subprocess: that one complains about a child that was left behind.
    actions = [
        (os.POSIX_SPAWN_DUP2, null, 0),
        (os.POSIX_SPAWN_DUP2, writing, 1),
        (os.POSIX_SPAWN_DUP2, null, 2),
    ]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    os.close(writing)
    os.close(null)
    try:
        return _read(reading, time.monotonic() + FLUSH_SECONDS_MAX)
    finally:
        os.close(reading)
        _leave(pid)


def _is_here(mount: LiveMount) -> bool:
    found = mount_at(mount.mountpoint)
    return found is not None and found.type == FILESYSTEM_TYPE


def _seen_at(mount: LiveMount) -> str:
    """Returns where this process can see a mount: its path, or else by way of its process."""
    return mount.mountpoint if _is_here(mount) else f"/proc/{mount.pid}/root{mount.mountpoint}"


def _read(reading: int, deadline: float) -> bytes | None:
    """Returns all that comes through a pipe, None if it has not ended at the deadline."""
    answer = b""
    while len(answer) < _STATUS_BYTES_MAX:
        left = deadline - time.monotonic()
        if not select.select([reading], [], [], max(0.0, left))[0]:
            return None
        data = os.read(reading, 65536)
        if not data:
            break
        answer += data
    return answer


def _leave(pid: int) -> None:
    """Ends a child that is of no use any more; waits only for one that has ended."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, os.WNOHANG)
