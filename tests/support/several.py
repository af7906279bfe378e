"""Several mounts of one process, of commands and of control files, and what tells of them."""

import json
import os
import select
import signal
from pathlib import Path

from pyi_fs.cli.live_mounts import LiveMount, live_mounts
from pyi_fs.store.directory_storage import DirectoryStorage

PATIENCE_SECONDS = 60.0


def serve_beside(mount: Path, what: str, at: Path) -> None:
    """Has what serves a mount serve another one; `OSError` with the errno of the refusal."""
    at.mkdir(exist_ok=True)
    command(mount, "mount", f"{what} {at}\n")


def command(mount: Path, name: str, text: str) -> None:
    """Writes to a control file of a mount."""
    descriptor = os.open(mount / ".pyi" / name, os.O_WRONLY)
    try:
        os.write(descriptor, os.fsencode(text))
    finally:
        os.close(descriptor)


def refusal(mount: Path) -> str:
    """Returns why the last command was refused."""
    return (mount / ".pyi/error").read_text()


def status(mount: Path) -> dict[str, object]:
    """Returns `.pyi/status` of a mount."""
    found: dict[str, object] = json.loads((mount / ".pyi/status").read_text())
    return found


def served(store: Path) -> dict[str, LiveMount]:
    """Returns the newest server of each mountpoint, by the last name of that."""
    found = sorted(live_mounts(DirectoryStorage(store)), key=lambda mount: mount.since_ns)
    return {Path(mount.mountpoint).name: mount for mount in found}


def end(pid: int, number: int = signal.SIGKILL) -> None:
    """Sends a process a signal and waits until it has ended."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, number)
        assert select.select([process], [], [], PATIENCE_SECONDS)[0], "it does not end"
    finally:
        os.close(process)
