"""Mounts that are served by one process go on when it is killed, under jobs in all of them.

Each round has some process that serves several: a mount that was served alone is asked for another.
"""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyi_fs.fuse.device import kernel_release
from tests.support.acceptance import disk_directory
from tests.support.several import command, end, serve_beside, served, status
from tests.support.takeover import Held, Job, Prober

TRANSPORTS = ("direct",)
pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not send again"),
]
MOUNTS_MAX = 4
KINDS = ("database", "logger", "mapping", "names", "lister", "builder")


def started(kind: str, mount: Path, seed: int) -> Job:
    """Returns a job in a mount, in a directory of its own."""
    directory = mount / f"{mount.name}-{kind}-{seed}"
    directory.mkdir()
    return Job(kind, directory, seed, mount.parent / f"{mount.name}-{kind}-{seed}.out")


class Used:
    """A mount with jobs in it, and somebody who asks for names."""

    def __init__(self, path: Path, kinds: Sequence[str]) -> None:
        """Starts the jobs."""
        self.path, self._prober = path, Prober(path)
        self._jobs = [started(kind, path, number) for number, kind in enumerate(kinds)]

    def check(self) -> None:
        """Fails if it does not answer, or a job has ended."""
        assert "takeovers" in status(self.path)
        for job in self._jobs:
            job.check()

    def finish(self, held: Held) -> None:
        """Lets the jobs check what they have, and ends the mount."""
        lines = [job.finish() for job in self._jobs]
        assert all(int(line.partition(":")[2]) > 0 for line in lines), lines
        self._prober.stop()
        held.run("pyi-mount", "--unmount", str(self.path))

    def kill(self) -> None:
        """Ends the jobs."""
        for job in self._jobs:
            job.kill()


def test_no_job_in_any_mount_sees_the_death_of_their_server(request, monkeypatch):
    rounds = 25 if request.config.getoption("--long") else 3
    monkeypatch.setenv("PYI_MAPPED_BYTES", str(16 << 20))
    dice = random.Random(20261129)
    with disk_directory() as place:
        held = Held(place, "--transport", "direct")
        used = [Used(held.path, KINDS[:3])]
        try:
            for turn in range(rounds):
                asked, new = dice.choice(used).path, place / f"mount{turn}"
                command(asked, "fork", f"fork{turn}\n")
                serve_beside(asked, f"fork{turn}/", new)
                used.append(Used(new, [KINDS[turn % len(KINDS)]]))
                pids = [one.pid for one in served(held.store).values()]
                several = next(pid for pid in pids if pids.count(pid) > 1)
                time.sleep(dice.uniform(0.05, 0.5))
                end(several)
                for one in used:
                    one.check()
                if len(used) > MOUNTS_MAX:
                    used.pop(dice.randrange(len(used))).finish(held)
            while used:
                used.pop().finish(held)
        finally:
            for one in used:
                one.kill()
        held.check()


def test_a_server_that_dies_while_it_is_asked_for_a_mount_leaves_it_asked(tmp_path: Path):
    """It is made by the next one: once, at whatever moment the first one died."""
    with disk_directory() as place:
        held = Held(place, "--transport", "direct")
        (held.path / "f").write_text("one")
        command(held.path, "branch", "b\n")
        for turn, seconds in enumerate((0.0, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02)):
            new = place / f"m{turn}"
            new.mkdir()
            pid = served(held.store)["mount"].pid
            asking = os.fork()
            if not asking:
                try:
                    serve_beside(held.path, "b", new)
                    (new / f"f{turn}").write_text("two")
                finally:
                    os._exit(0 if (new / f"f{turn}").exists() else 1)
            time.sleep(seconds)
            end(pid)
            assert os.waitstatus_to_exitcode(os.waitpid(asking, 0)[1]) == 0, seconds
            assert (new / "f").read_text() == "one"
            assert (held.path / "f").read_text() == "one"
            held.run("pyi-mount", "--unmount", str(new))
        held.unmount()
        held.check()
