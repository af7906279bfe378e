"""What the acceptance tests have in common: a mount with its background work, tools, and pictures.

Every wait has an end: commands have timeouts, and a mount ends itself after `life_seconds`, which
breaks its connection, so that whoever hangs on it gets an errno and the test fails.
"""

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support import transports

ROOT = Path(__file__).resolve().parents[2]
# On a shared machine a process may start late; a hang must end the test, not the run.
PATIENCE_SECONDS = 60


class Served:
    """A workspace mounted by a process of its own, background work included.

    A context manager: unmounts, and fails if something was logged as wrong. `path`: the
    mountpoint. `options`: those of `acceptance_serve`. `life_seconds`: after this the process ends
    itself.
    """

    life_seconds = 110

    def __init__(self, store: Path, workspace: str, mountpoint: Path, **options: object) -> None:
        """Mounts; returns when the mount answers."""
        self.path = mountpoint
        self.store = store
        self._log_path = mountpoint.with_name(mountpoint.name + ".log")
        with contextlib.suppress(FileExistsError):
            mountpoint.mkdir()
        options = {
            "seconds": self.life_seconds,
            "transport": transports.current(),
            **options,
        }
        arguments = [str(store), workspace, str(mountpoint), json.dumps(options)]
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.acceptance_serve", *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        line = self.process.stdout.readline() if readable else b"nothing in time"
        if line != b"ready\n":
            self.kill()
            raise AssertionError(f"not mounted ({line!r}): {self.log}")

    def __enter__(self) -> "Served":
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

    @property
    def log(self) -> str:
        """What the process wrote to standard error."""
        return self._log_path.read_text(errors="replace")

    def unmount(self) -> None:
        """Ends the mount cleanly, and fails if it did not go well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._collect()
        assert self.process.returncode == 0, self.log
        assert "ERROR" not in self.log, self.log

    def crash(self) -> None:
        """`kill -9`; the dead mountpoint stays as it is."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        """`kill -9`, and takes the dead mount away."""
        self.process.kill()
        self._collect()

    def control(self, name: str, text: str = "\n") -> None:
        """Writes to a control file of the root view."""
        descriptor = os.open(self.path / ".pyi" / name, os.O_WRONLY)
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

    def status(self) -> dict[str, Any]:
        """Returns the status of the root view."""
        found: dict[str, Any] = json.loads(self.ask("status"))
        return found

    def private_dirty_bytes(self) -> int:
        """Returns the private memory of the mount's process."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        line = next(line for line in text.splitlines() if line.startswith("Private_Dirty:"))
        return int(line.split()[1]) * 1024

    def _collect(self) -> None:
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        clear(self.path)


def clear(mountpoint: Path) -> None:
    """Takes a dead mount away, if there is one."""
    subprocess.run(
        ["umount", "-l", str(mountpoint)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def disk_directory(*, keep_failed: bool = False) -> Iterator[Path]:
    """Gives a directory on a disk, not tmpfs, without mounts left in it."""
    place = Path(tempfile.mkdtemp(prefix="pyi-acceptance-", dir="/var/tmp"))
    done = False
    try:
        yield place
        done = True
    finally:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        for line in reversed(mounts):
            mountpoint = Path(line.split()[4])
            if mountpoint.is_relative_to(place):
                clear(mountpoint)
        if done or not keep_failed:
            shutil.rmtree(place)
        else:
            sys.stderr.write(f"kept: {place}\n")


def run(
    *command: str | Path,
    cwd: Path | None = None,
    seconds: float = PATIENCE_SECONDS,
    env: Mapping[str, str] | None = None,
) -> str:
    """Returns what a command printed; it has to succeed, in time."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    printed = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {printed[-3000:]}"
    return printed


def start(program: str, *arguments: str | Path | int, **options: Any) -> "subprocess.Popen[str]":
    """Starts a function of `acceptance_load` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.acceptance_load", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: "subprocess.Popen[str]", seconds: float = PATIENCE_SECONDS) -> str:
    """Returns what a program printed, once it has ended well; kills it if it does not end."""
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
        raise
    assert process.returncode == 0, f"{process.args!r} ended with {process.returncode}: {printed}"
    return printed


def stop(*processes: "subprocess.Popen[str]") -> None:
    """Ends programs that may still run, whatever they do."""
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)


def picture(top: Path, *, times: bool = False) -> dict[str, tuple[object, ...]]:
    """Returns what a tree holds: path -> mode, size, content's hash or target, mtime."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = Path(directory, name)
            status = path.lstat()
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.blake2b(path.read_bytes()).hexdigest()
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            mtime = (status.st_mtime_ns,) if times else ()
            found[str(path.relative_to(top))] = (oct(status.st_mode), size, content, *mtime)
    return found


def differences(
    a: Mapping[str, tuple[object, ...]], b: Mapping[str, tuple[object, ...]]
) -> list[str]:
    """Returns the paths that differ, a few of them, with both sides."""
    paths = [path for path in sorted({*a, *b}) if a.get(path) != b.get(path)]
    return [f"{path}: {a.get(path)} / {b.get(path)}" for path in paths[:5]]


def assert_sound(
    store: Path, settings: Mapping[str, object] | None = None, *, seconds: float = 300
) -> None:
    """Checks every branch and snapshot of every workspace of a store that nobody has mounted."""
    program = [sys.executable, "-m", "tests.support.acceptance_load", "check"]
    run(*program, store, json.dumps(settings or {}), cwd=ROOT, seconds=seconds)


def make_source(top: Path, count: int) -> None:
    """Fills a directory with a source tree: text, links, an executable, sparse and empty files."""
    for number in range(count):
        directory = top / f"d{number % 40}" / f"s{number % 7}"
        directory.mkdir(parents=True, exist_ok=True)
        line = f"int f{number}(void) {{ return {number}; }}\n"
        (directory / f"f{number}.c").write_text(line * (1 + number * 7919 % 199))
    (top / "tool.sh").write_text("#!/bin/sh\necho tool\n")
    (top / "tool.sh").chmod(0o755)
    (top / "link").symlink_to("d0/s0/f0.c")
    (top / "dangling").symlink_to("nowhere")
    (top / "empty").touch()
    (top / "sparse").write_bytes(b"")
    os.truncate(top / "sparse", 1 << 20)
