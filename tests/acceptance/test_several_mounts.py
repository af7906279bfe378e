"""Mounts that are served by one process go on when it is killed, under jobs in all of them.

Each round has some process that serves several: a mount that was served alone is asked for another.
"""

import os
import random
import time
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
KINDS = ("database", "logger", "mapping", "names", "lister", "builder")


def started(kind: str, mount: Path, seed: int) -> Job:
    """Returns a job in a mount, in a directory of its own."""
    directory = mount / f"{kind}-{seed}"
    directory.mkdir()
    return Job(kind, directory, seed, mount.parent / f"{mount.name}-{kind}-{seed}.out")


def test_no_job_in_any_mount_sees_the_death_of_their_server(request, monkeypatch):
    rounds = 25 if request.config.getoption("--long") else 3
    monkeypatch.setenv("PYI_MAPPED_BYTES", str(16 << 20))
    dice, jobs = random.Random(20261129), list[Job]()
    with disk_directory() as place:
        held = Held(place, "--transport", "direct")
        mounts = [held.path]
        jobs += [started(kind, held.path, number) for number, kind in enumerate(KINDS[:3])]
        probers = [Prober(held.path)]
        try:
            for turn in range(rounds):
                asked = dice.choice(mounts)
                command(asked, "fork", f"fork{turn}\n")
                new = place / f"mount{turn}"
                serve_beside(asked, f"fork{turn}/", new)
                mounts.append(new)
                probers.append(Prober(new))
                jobs.append(started(KINDS[turn % len(KINDS)], new, 100 + turn))
                pids = [one.pid for one in served(held.store).values()]
                several = next(pid for pid in pids if pids.count(pid) > 1)
                time.sleep(dice.uniform(0.05, 0.5))
                end(several)
                for mount in mounts:
                    assert "takeovers" in status(mount)
                for job in jobs:
                    job.check()
            lines = [job.finish() for job in jobs]
            for prober in probers:
                prober.stop()
        finally:
            for job in jobs:
                job.kill()
        assert all(int(line.partition(":")[2]) > 0 for line in lines), lines
        for mount in mounts:
            held.run("pyi-mount", "--unmount", str(mount))
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
