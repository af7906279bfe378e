"""Serves a mount as `pyi-mount --foreground` does, for the acceptance tests.

    python -m tests.support.acceptance_serve STORE WORKSPACE MOUNTPOINT JSON

Background work included. Makes store and workspace if they are missing and writes `ready` to
standard output when the mount answers. JSON: fields of `MountOptions`; `branch`, `snapshot`;
`seconds`, after which the process ends whatever it does, with its stacks in the log, so that a hung
mount cannot outlive its test; `settings`: dotted names of tunables and their values, to see in
seconds what takes hours.
"""

import ctypes
import faulthandler
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import trio

from pyi_fs.cli import unmounting
from pyi_fs.cli.worker import worker_command
from pyi_fs.control.session import Session
from pyi_fs.engine.background import Background
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AlreadyExistsError
from pyi_fs.fuse.mount import MountOptions, serve, shared_until_signal
from pyi_fs.ids import WorkspaceName
from tests.support import acceptance_death
from tests.support.settings import apply_settings

_PR_SET_PDEATHSIG = 1


def main(store_path: str, name: str, mountpoint: str, options: str) -> None:
    """Serves until unmounted."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    while unmounting.is_stale(mountpoint):
        unmounting.detach(mountpoint)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    fields = json.loads(options)
    # A C thread: it ends the process also while Python is stuck, and with it the connection.
    faulthandler.dump_traceback_later(fields.pop("seconds"), exit=True)
    apply_settings(fields.pop("settings", {}))
    death = fields.pop("death", None)
    if death is not None:
        acceptance_death.install(*death)
    branch_name = fields.pop("branch", "main")
    snapshot = fields.pop("snapshot", None)
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store.open(Path(store_path))))
        if name not in store.workspace_names():
            _create(store, name)
        workspace = stack.enter_context(
            closing(Workspace(store, WorkspaceName(name), holder=mountpoint))
        )
        root = workspace.find_snapshot(snapshot) if snapshot else workspace.open_branch(branch_name)
        session = Session(
            workspace,
            root,
            read_only=snapshot is not None,
            control_uid=os.getuid(),
            mountpoint=mountpoint,
        )
        stack.callback(session.close)
        _serve(session, workspace, Path(mountpoint), MountOptions(f"pyi:{name}", **fields))


def _create(store: Store, name: str) -> None:
    try:
        create_workspace(store, name)
    except AlreadyExistsError:
        # Somebody else was first, at the same time.
        return


def _serve(session: Session, workspace: Workspace, mountpoint: Path, options: MountOptions) -> None:
    background = Background(
        workspace,
        worker=worker_command(workspace.store.path),
        sync_interval=options.sync_interval,
    )
    tasks: list[Any] = [] if session.read_only else [background.run]

    async def run() -> None:
        async with shared_until_signal() as shared:
            await serve(session, mountpoint, options, shared, ready=_ready, tasks=tasks)

    trio.run(run)


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
