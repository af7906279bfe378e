"""Another mount beside one: what a process that serves mounts is asked through `.pyi/mount`.

In a thread. It is mounted as this process would mount it: so who asks has to be its user, and see
the same tree of mounts. What could wait for a mount of this process is done by another one
(`cli/mountpoints.py`).
"""

import dataclasses
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from pyi_fs import limits
from pyi_fs.cli.arguments import Place
from pyi_fs.cli.holder import ShellHolder, described
from pyi_fs.cli.kept_locks import KeptLocks
from pyi_fs.cli.live_mounts import live_mounts
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE, mount_at
from pyi_fs.cli.mountpoints import led_to, looked_at
from pyi_fs.cli.serving import Opened, opened
from pyi_fs.control.beside import THREAD, UID
from pyi_fs.control.commands import MountCommand
from pyi_fs.control.files import BEGUN_NS
from pyi_fs.engine.founding import FIRST_BRANCH
from pyi_fs.errors import AccessDeniedError, BusyError, NotPermittedError, UnsupportedError
from pyi_fs.fuse import device, transports
from pyi_fs.fuse.device import Mounted, unmount_command
from pyi_fs.fuse.mount import device_options
from pyi_fs.store.directory_storage import DirectoryStorage

log = logging.getLogger(__name__)

# A request waits twice for the interpreter while a branch is folded, by default 5 ms each time: the
# slowest of 50,000 beside a fold of 9,000 records took 10 to 17 ms, and so 5 to 9.
_SWITCH_SECONDS = 0.0005
# One at a time, from the look at the mountpoint to the mount: two would find it free.
_TURN = Lock()

Begin = Callable[[Opened, Mounted], None]
"""Serves a mount; returns once it answers, or raises why it does not. For a thread."""


class Asked:
    """Implements `control.beside.Beside` for one session of a process.

    `live`: all of its sessions. `begin`: serves one more.
    """

    def __init__(self, one: Opened, live: Sequence[Opened], begin: Begin) -> None:
        """Does nothing until it is asked."""
        self._one = one
        self._live = live
        self._begin = begin

    def serve(self, command: MountCommand) -> bytes:
        """Serves another mount; returns where, once it answers. For a thread, which waits.

        `AccessDeniedError` for others than the user of this process, `UnsupportedError` with
        pyfuse3, `BusyError`, `NotFoundError` and what else opening and mounting say.
        """
        self._check(command)
        asked = Path(os.fsdecode(command.mountpoint))
        if BEGUN_NS.get() and self._was_made(_request(self._one.request, command, asked)):
            return command.mountpoint
        with _TURN, looked_at(asked) as (directory, path):
            request = _request(self._one.request, command, path)
            new = self._opened(request)
            try:
                mounted = _mounted(new, directory, path)
            except BaseException:
                new.close()
                raise
        self._begin(new, mounted)
        return os.fsencode(path)

    def served(self) -> Sequence[tuple[str, bytes]]:
        """Returns what this process serves: as a command names it, and where."""
        return [(_shown(one), os.fsencode(one.request.mountpoint)) for one in list(self._live)]

    def _check(self, command: MountCommand) -> None:
        if transports.chosen(self._one.options.transport) != transports.DIRECT:
            raise UnsupportedError("pyfuse3 serves one mount in a process: use `pyi-mount`")
        if UID.get() != os.geteuid():
            raise AccessDeniedError(
                f"a mount would be made with the rights of user {os.geteuid()}, who serves this "
                "one: others use `pyi-mount`"
            )
        where = os.fsdecode(command.mountpoint)
        if not _sees_the_same(THREAD.get()):
            raise AccessDeniedError(f"'{where}' is seen otherwise by what serves this mount")
        if len(self._live) >= limits.SESSIONS_MAX:
            raise BusyError(f"this process serves {limits.SESSIONS_MAX} mounts: use `pyi-mount`")

    def _was_made(self, request: MountRequest) -> bool:
        """Returns whether a process that died in this command had come to its end.

        If it had mounted, and not begun to serve, the mount is dead, and is taken away.
        """
        led = led_to(request.mountpoint)
        found = mount_at(str(led or request.mountpoint))
        if found is None or found.type != FILESYSTEM_TYPE:
            return False
        if led is not None:
            storage, where = DirectoryStorage(request.store), request.where
            return any(
                (live.mountpoint, live.workspace) == (str(led), where.workspace)
                and (where.at is not None or live.branch == (request.branch or live.branch))
                for live in live_mounts(storage)
            )
        if found.source.startswith(request.label(None)):
            command = unmount_command(request.mountpoint)
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
        return False

    def _opened(self, request: MountRequest) -> Opened:
        holder = locks = None
        if self._one.holder is not None and request.holder:
            locks = KeptLocks()
            title = f"pyi-holder {request.where} {request.mountpoint}"
            holder = ShellHolder(title, partial(described, request, request.log), locks)
        with _giving_way():
            return opened(request, note=log.info, holder=holder, kept_locks=locks)


@contextmanager
def _giving_way() -> Iterator[None]:
    """Lets the request loop have the interpreter soon, each time it wants it. One at a time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _mounted(new: Opened, directory: int, path: Path) -> Mounted:
    options = device_options(new.options, read_only=new.session.read_only)
    try:
        return device.mount_on(directory, path, options)
    except OSError as error:
        # What the kernel says, or fusermount3: no fault of the store.
        raise NotPermittedError(f"{path} cannot be mounted on: {error.strerror}") from None


def take_away(mounted: Mounted) -> None:
    """Ends a mount that nobody has begun to serve."""
    os.close(mounted.device)
    subprocess.run(unmount_command(mounted.mountpoint), check=False, stdin=subprocess.DEVNULL)


def _request(like: MountRequest, command: MountCommand, mountpoint: Path) -> MountRequest:
    """Returns the request for a mount that is as the one that was asked, but for what it shows."""
    workspace = command.workspace or like.where.workspace
    return dataclasses.replace(
        like,
        where=Place(workspace, command.at),
        mountpoint=mountpoint,
        branch=command.branch,
        read_only=False,
        transport=transports.DIRECT,
    )


def _shown(one: Opened) -> str:
    where = one.request.where
    if where.at is not None:
        return str(where)
    return f"{where.workspace}/{one.session.root.name or one.request.branch or FIRST_BRANCH}"


def _sees_the_same(thread: int) -> bool:
    """Returns whether a path means the same to a thread as to this process."""
    try:
        return thread > 0 and all(
            os.readlink(f"/proc/{thread}/{what}") == os.readlink(f"/proc/self/{what}")
            for what in ("ns/mnt", "root")
        )
    except OSError:
        return False
