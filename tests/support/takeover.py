"""A mount whose server is killed again and again under jobs that must not notice.

Started by `pyi-mount` as a user would. The jobs work in the root's view and in a branch below
`branches/`; a prober asks for names all the time.
"""

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.takeover_jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 60.0
# Jobs that change views or trees under others have a branch of their own.
_IN_BRANCHES = {"control": "c", "held": "x", "names": "x"}


class Held:
    """A mount that has a holder. `path`: the mountpoint."""

    def __init__(self, place: Path, *options: str, files: int = 0) -> None:
        """Mounts workspace `w` of a new store below `place`, which has so many files."""
        self.store, self.path = place / "store", place / "mount"
        self.path.mkdir(exist_ok=True)
        if files:
            options = (*options, "--from", f"{_tree(place / 'tree', files)}/")
        self.run("pyi-mount", "--store", str(self.store), *options, "w", str(self.path))

    def run(self, command: str, *arguments: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Runs one of our commands and returns what it printed."""
        done = subprocess.run(
            [BIN / command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def server(self) -> int:
        """Returns the process that serves the mount now, waiting for one."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            for path in (self.store / "mounts").iterdir():
                with contextlib.suppress(OSError, ValueError, KeyError):
                    pid = int(json.loads(path.read_text())["pid"])
                    os.kill(pid, 0)
                    if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                        return pid
            time.sleep(0.005)
        raise AssertionError(f"no server came: {self.log()}")

    def kill(self) -> int:
        """Ends the server as a crash would; returns its number."""
        pid = self.server()
        _end(pid)
        return pid

    def kill_holder(self) -> None:
        """Ends the shell that keeps the mount, and waits until it is gone."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if words[0] == b"/bin/sh" and words[-2] == f"pyi-holder w {self.path}".encode():
                    _end(int(path.parent.name))
                    return
        raise AssertionError("no holder")

    def log(self) -> str:
        """Returns what the servers have logged."""
        return "".join(p.read_text() for p in sorted((self.store / "logs" / "w").iterdir()))

    def status(self) -> dict[str, object]:
        """Returns `.pyi/status`."""
        found: dict[str, object] = json.loads((self.path / ".pyi/status").read_text())
        return found

    def unmount(self) -> None:
        """Ends the mount."""
        self.run("pyi-mount", "--unmount", str(self.path))

    def check(self) -> None:
        """Checks the whole store, which may have very many files."""
        self.run("pyi-fsck", "--store", str(self.store), "--verify-data", seconds=600)


def _tree(path: Path, files: int) -> Path:
    """Makes a directory with so many small files, a hundred in each of its directories."""
    for first in range(0, files, 100):
        inner = path / f"directory-{first // 100}"
        inner.mkdir(parents=True)
        for index in range(first, min(first + 100, files)):
            (inner / f"file-{index}").write_text(f"{index}\n")
    return path


def _end(pid: int) -> None:
    """Kills a process and waits until it has ended."""
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], PATIENCE_SECONDS)
    os.close(process)


class Prober:
    """Asks for names that are not there, one after the other: no answer may be an error."""

    def __init__(self, path: Path) -> None:
        """Begins in a thread of its own."""
        self._path, self._stop = path, threading.Event()
        self.error: OSError | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        count = 0
        while not self._stop.wait(0.002):
            count += 1
            try:
                os.stat(self._path / f"missing-{os.getpid()}-{count}")
            except FileNotFoundError:
                pass
            except OSError as error:
                self.error = error
                return

    def stop(self) -> None:
        """Ends it; what it met is raised."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the mount does not answer"
        if self.error is not None:
            raise self.error


class Job:
    """One job in a process of its own."""

    def __init__(self, kind: str, directory: Path, seed: int, output: Path) -> None:
        """Starts it."""
        self.kind, self._output = kind, output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.takeover_jobs", kind, directory, str(seed)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def check(self) -> None:
        """Fails if it has ended."""
        assert self.process.poll() is None, f"{self.kind}: {self._output.read_text()}"

    def finish(self) -> str:
        """Lets it check what it has; returns its line."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(2 * PATIENCE_SECONDS)
        assert code == 0, f"{self.kind}: {self._output.read_text()}"
        return self._output.read_text().strip()

    def kill(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def working(held: Held, kinds: list[str], seed: int) -> Iterator[list[Job]]:
    """Gives the jobs, started each in a directory of its own."""
    branches = held.path / ".pyi/branches"
    for name in sorted(set(_IN_BRANCHES.values())):
        (branches / name).mkdir()
    jobs = []
    for index, kind in enumerate(kinds):
        if kind == "control":
            directory = branches / "c"
        else:
            view = branches / _IN_BRANCHES[kind] if kind in _IN_BRANCHES else held.path
            directory = view / f"{kind}-{index}"
            directory.mkdir()
        output = held.path.parent / f"{kind}-{index}.out"
        jobs.append(Job(kind, directory, seed + index, output))
    try:
        yield jobs
    finally:
        for job in jobs:
            if job.process.poll() is None:
                job.kill()


class Wait(NamedTuple):
    """How long nothing was answered, and how many servers were killed one after the other."""

    seconds: float
    deaths: int


def rounds(held: Held, kinds: list[str], count: int, seed: int, report: list[Wait]) -> list[str]:
    """Kills the server `count` times under jobs; returns their lines.

    `report` gets the waits: from a `kill -9` to the first answer to a request that came after it.
    """
    dice = random.Random(seed)
    with working(held, kinds or sorted(JOBS), seed) as jobs:
        prober = Prober(held.path)
        began, deaths = 0.0, 0
        for _ in range(count):
            time.sleep(dice.uniform(0.05, 0.8))
            began = began if deaths else time.monotonic()
            held.kill()
            deaths += 1
            # The next one answers before it is killed, most times: else nothing would ever be done.
            if dice.random() < 0.9:
                with contextlib.suppress(FileNotFoundError):
                    os.stat(held.path / f"missing-{dice.random()}")
                report.append(Wait(time.monotonic() - began, deaths))
                deaths = 0
            for job in jobs:
                job.check()
        lines = [job.finish() for job in jobs]
        prober.stop()
    return lines
