"""The crash test: a mount under mixed load is killed again and again; nothing acknowledged is lost.

Each round mounts (over the dead mountpoint), compares everything with what the writers noted
outside, lets them go on, and kills the mount at a random moment; sometimes already while it
recovers. Limits are small, so that checkpoints, sealing and giving scratch back happen all the
time.
"""

import os
import pickle
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.acceptance import ROOT, Served, assert_sound
from tests.support.acceptance_model import digest, picture_of
from tests.support.acceptance_writer import Ledger

SETTINGS = {
    "pyi_fs.limits.SEGMENT_BYTES_MAX": 1 << 20,
    "pyi_fs.limits.PUNCH_BYTES_MIN": 32 << 10,
    "pyi_fs.limits.GARBAGE_BYTES_MAX": 2 << 20,
    "pyi_fs.limits.FOLD_RECORDS_MAX": 200,
    "pyi_fs.limits.SEAL_IDLE_SECONDS": 0.2,
    "pyi_fs.limits.SEAL_PRESSURE_BYTES": 2 << 20,
    "pyi_fs.limits.FOLDED_TREES_MAX": 8,
    "pyi_fs.limits.OPEN_SEGMENTS_MAX": 16,
    "pyi_fs.engine.background._TICK_SECONDS": 0.02,
    "pyi_fs.engine.background._CHECKPOINT_SECONDS_MIN": 0.2,
    "pyi_fs.engine.background._RECLAIM_BYTES_MIN": 128 << 10,
}
BRANCHES = ("main", "side")
# How long a process may need to notice that its mount is dead.
NOTICE_SECONDS = 20
SNAPSHOTS_SAMPLED = 3


class CrashTest:
    """A store, its writers' ledgers, and the rounds."""

    def __init__(self, place: Path, seed: int, say: Callable[[str], None]) -> None:
        """Everything random follows the seed, except when things happen."""
        self._place = place
        self._rng = random.Random(seed)
        self._say = say
        self._ledgers = {branch: Ledger() for branch in BRANCHES}

    def run(self, rounds: int) -> None:
        """Runs the rounds, then compares everything there ever was.

        `AssertionError` with what is wrong.
        """
        with self._mounted() as mount:
            mount.control("branch", "side")
        for number in range(rounds):
            if self._rng.random() < 0.2:
                self._kill_while_mounting()
            mount = self._mounted()
            try:
                started = time.monotonic()
                self._compare(mount, sample=True)
                compared = time.monotonic() - started
                counts = self._work_and_kill(mount, number)
            except BaseException:
                sys.stderr.write(mount.log)
                mount.kill()
                raise
            self._say(f"round {number}: {counts}, compared in {compared:.1f} s")
            if number % 10 == 9:
                assert_sound(self._place / "store")
        with self._mounted() as mount:
            self._compare(mount, sample=False)
        assert_sound(self._place / "store")

    def _mounted(self) -> Served:
        return Served(
            *(self._place / "store", "w", self._place / "mount"),
            settings=SETTINGS,
            sync_interval=0.3,
            seconds=400,
        )

    def _kill_while_mounting(self) -> None:
        options = '{"seconds": 60}'
        arguments = [str(self._place / "store"), "w", str(self._place / "mount"), options]
        with open(os.devnull, "wb") as null:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.acceptance_serve", *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=null,
                stderr=null,
            )
        try:
            process.wait(self._rng.uniform(0.2, 0.8))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait(NOTICE_SECONDS)

    def _work_and_kill(self, mount: Served, number: int) -> str:
        """Returns how many operations each writer had acknowledged."""
        journals, writers = {}, []
        try:
            for branch, ledger in self._ledgers.items():
                saved = self._place / f"{branch}.ledger"
                saved.write_bytes(pickle.dumps(ledger))
                journals[branch] = self._place / f"{branch}.{number}.journal"
                writers.append(self._writer(mount, branch, saved, journals[branch]))
            for writer in writers:
                assert writer.stdout is not None
                started, _, _ = select.select([writer.stdout], [], [], NOTICE_SECONDS)
                assert started, "a writer does not start"
            time.sleep(self._rng.uniform(0.05, 1.5))
            mount.crash()
            for writer in writers:
                assert writer.wait(NOTICE_SECONDS) == 0, f"{writer.args!r}"
        finally:
            for writer in writers:
                writer.kill()
                writer.wait(NOTICE_SECONDS)
                if writer.stdout is not None:
                    writer.stdout.close()
        assert mount.process.returncode == -9, mount.log
        assert "ERROR" not in mount.log, mount.log
        self._assert_nothing_hangs(mount.path)
        counts = []
        for branch, ledger in self._ledgers.items():
            before = ledger.operations
            ledger.replay(journals[branch])
            journals[branch].unlink(missing_ok=True)
            counts.append(f"{branch} {ledger.operations - before} ops")
        return ", ".join(counts)

    def _writer(
        self, mount: Served, branch: str, saved: Path, journal: Path
    ) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "tests.support.acceptance_writer"]
        seed = str(self._rng.randrange(1 << 32))
        return subprocess.Popen(
            [*program, str(mount.path), branch, str(saved), str(journal), seed],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    @staticmethod
    def _assert_nothing_hangs(mountpoint: Path) -> None:
        """A stat of the dead mount answers at once, and it is ENOTCONN."""
        done = subprocess.run(
            ["stat", str(mountpoint)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NOTICE_SECONDS,
            check=False,
        )
        assert b"Transport endpoint is not connected" in done.stderr, done

    def _compare(self, mount: Served, *, sample: bool) -> None:
        """Compares branches and snapshots (the newest and some others, or all) with the ledgers."""
        control = mount.path / ".pyi"
        listed = os.listdir(control / "branches")
        for branch, ledger in self._ledgers.items():
            top = mount.path if branch == "main" else control / "branches" / branch
            wrong = ledger.choose(picture_of(top))
            assert not wrong, f"branch {branch}: {wrong}"
            for name in ledger.branches:
                assert name in listed, f"branch {name} of {branch} is gone"
            made = sorted(ledger.branches)
            for name in made if not sample else self._rng.sample(made, min(2, len(made))):
                found = picture_of(control / "branches" / name)
                assert found == ledger.branches[name].picture(), f"branch {name} differs"
            ids = list(ledger.digests)
            if sample:
                others = self._rng.sample(ids, min(SNAPSHOTS_SAMPLED, len(ids)))
                ids = [*ids[-SNAPSHOTS_SAMPLED:], *others]
            for id_ in ids:
                found = picture_of(control / "snapshots" / id_)
                assert digest(found) == ledger.digests[id_], f"snapshot {id_} of {branch} differs"
