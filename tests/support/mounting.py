"""A real mount in a child process: started, waited for, unmounted; nothing stays behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import transports

ROOT = Path(__file__).resolve().parents[2]
# Longer than any machine needs to mount or unmount; a hang must end the test, not the run.
PATIENCE_SECONDS = 60


class MountFailedError(Exception):
    """The child did not mount; the message is its log."""


class Mount:
    """A workspace mounted by a child process.

    A context manager: unmounts, and checks that nothing was logged as wrong. `path`: the
    mountpoint; `log`: what the child wrote to standard error, complete once it has ended.
    """

    def __init__(
        self, store: Path, mountpoint: Path, options: Mapping[str, object] | None = None
    ) -> None:
        """Mounts workspace `w` of `store`; `options` are `mount_runner`'s. `MountFailedError`."""
        self.path = mountpoint
        self.log = ""
        self._log_path = mountpoint.with_suffix(".log")
        mountpoint.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.support.mount_runner"]
        options = {"transport": transports.current(), **(options or {})}
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, str(store), "w", str(mountpoint), json.dumps(options)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != b"ready\n":
            self.kill()
            raise MountFailedError(self.log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.kill()
            sys.stderr.write(self.log)
            return
        self.unmount()
        assert "ERROR" not in self.log, self.log
        assert self.process.returncode == 0, self.log

    def unmount(self) -> None:
        """Asks the child to unmount, and waits until it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._collect()

    def kill(self) -> None:
        """Ends the child without any warning, as a crash would, and takes the dead mount away."""
        self.process.kill()
        self._collect()

    def wait(self) -> None:
        """Waits for a child that ends by itself."""
        self._collect()

    def control(self, command: str, text: str) -> None:
        """Writes to a control file of the root view."""
        descriptor = os.open(self.path / ".pyi" / command, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def ask(self, name: str) -> str:
        """Returns what a control file of the root view answers."""
        return (self.path / ".pyi" / name).read_text()

    def snapshot(self) -> str:
        """Takes a snapshot and returns its id."""
        return self.ask("snapshot").split("\t")[0]

    def _collect(self) -> None:
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        subprocess.run(["umount", "-l", str(self.path)], stderr=subprocess.DEVNULL, check=False)
        self.log = self._log_path.read_text()


@contextlib.contextmanager
def mounted(directory: Path, **options: object) -> Iterator[Mount]:
    """Gives a mount of workspace `w`, with store and mountpoint below `directory`."""
    with Mount(directory / "store", directory / "mount", options) as mount:
        yield mount
