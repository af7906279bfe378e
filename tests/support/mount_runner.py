"""Mounts a workspace of a store and serves it.

    python -m tests.support.mount_runner STORE WORKSPACE MOUNTPOINT [JSON]

What `pyi-mount` does without its conveniences, for tests that want a mount in a process of its own.
Makes store and workspace if they are missing, writes `ready` to standard output when the mount
answers, and logs to standard error. JSON: fields of `MountOptions`, and `branch`, `snapshot`,
`read_only`, `old_kernel` (as if it
knew no epochs), `inject` (a file; see `injection.py`),
`descriptors` (how many it may have), `bug` (a mistake to make; see `seeded_bugs.py`).
"""

import json
import logging
import os
import resource
import sys
from pathlib import Path

import trio

from pyi_fs.cli.worker import worker_command
from pyi_fs.control.session import Session
from pyi_fs.engine.background import Background
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.fuse import device
from pyi_fs.fuse.mount import MountOptions, serve, shared_until_signal
from pyi_fs.ids import WorkspaceName
from tests.support import injection, seeded_bugs


def main(store_path: str, name: str, mountpoint: str, options: str = "{}") -> None:
    """Serves until unmounted."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    fields = json.loads(options)
    branch_name = fields.pop("branch", "main")
    snapshot = fields.pop("snapshot", None)
    read_only = fields.pop("read_only", False)
    if fields.pop("old_kernel", False):
        device.has_epoch = lambda: False
    descriptors = fields.pop("descriptors", None)
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    inject = fields.pop("inject", None)
    if inject is not None:
        injection.arm(Path(inject))
    bug = fields.pop("bug", None)
    if bug is not None:
        seeded_bugs.plant(bug)
    store = Store.open(Path(store_path))
    if name not in store.workspace_names():
        create_workspace(store, name)
    workspace = Workspace(store, WorkspaceName(name), holder=mountpoint)
    root = workspace.find_snapshot(snapshot) if snapshot else workspace.open_branch(branch_name)
    session = Session(
        workspace, root, read_only=read_only, control_uid=os.getuid(), mountpoint=mountpoint
    )

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    mount_options = MountOptions(f"pyi:{name}", **fields)

    background = Background(
        workspace, worker=worker_command(store.path), sync_interval=mount_options.sync_interval
    )

    async def run() -> None:
        tasks = [] if session.read_only else [background.run]
        async with shared_until_signal() as shared:
            await serve(session, Path(mountpoint), mount_options, shared, ready=ready, tasks=tasks)

    try:
        trio.run(run)
    finally:
        session.close()
        workspace.close()
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
