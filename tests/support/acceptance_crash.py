"""The crash test: a mount under mixed load dies again and again; nothing acknowledged is lost.

Each round mounts (over the dead mountpoint), compares everything with what the writers noted
outside, lets them go on, and ends the mount in one of the ways of `ENDINGS`; sometimes it is also
killed while it recovers, and mostly a collector works beside. Limits are small, so that
checkpoints, sealing, collection and giving scratch back happen all the time.
"""

import json
import pickle
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import acceptance_ends as ends
from tests.support.acceptance import ROOT, Served, assert_sound
from tests.support.acceptance_ends import NOTICE_SECONDS
from tests.support.acceptance_held import NAME as HELD
from tests.support.acceptance_held import Held
from tests.support.acceptance_model import digest, picture_of
from tests.support.acceptance_writer import Ledger

KEEP_SECONDS = 60
WINDOWS = {
    "pyi_fs.limits.UNDO_WINDOW_SECONDS": 45,
    "pyi_fs.limits.GARBAGE_GRACE_SECONDS": 15,
    "pyi_fs.limits.RETENTION_AGE_SECONDS_MIN": 30,
}
"""What collection waits for, for every process that looks at the store."""
SETTINGS = {
    **WINDOWS,
    "pyi_fs.limits.SEGMENT_BYTES_MAX": 1 << 20,
    "pyi_fs.limits.PUNCH_BYTES_MIN": 32 << 10,
    "pyi_fs.limits.GARBAGE_BYTES_MAX": 2 << 20,
    "pyi_fs.limits.FOLD_RECORDS_MIN": 200,
    "pyi_fs.limits.SEAL_IDLE_SECONDS": 0.2,
    "pyi_fs.limits.SEAL_PRESSURE_BYTES": 2 << 20,
    "pyi_fs.limits.FOLDED_TREES_MAX": 8,
    "pyi_fs.limits.OPEN_SEGMENTS_MAX": 16,
    "pyi_fs.engine.background._TICK_SECONDS": 0.02,
    "pyi_fs.engine.background._LOOK_SECONDS": 0.2,
    "pyi_fs.engine.background._CHECKPOINT_SECONDS_MIN": 0.2,
    "pyi_fs.engine.background._RECLAIM_BYTES_MIN": 128 << 10,
}
BRANCHES = ("main", "side")
SNAPSHOTS_SAMPLED = 2
COLLECTED_SHARE = 0.6
SAMPLED_SHARE = 1 / 3


class Way(NamedTuple):
    """A way to end: who ends the mount, at what point it is aimed, and what is left."""

    end: ends.Ending
    point: str = ""
    moments: int = 60
    is_dead: bool = True
    restores: int = 1


ENDINGS = {
    "kill": Way(ends.killed),
    "kill in a flush": Way(ends.killed_itself, point="flush"),
    "kill in an invalidation": Way(
        ends.killed_itself, point="invalidation", moments=400, restores=8
    ),
    "kill of the sealer": Way(ends.without_sealer),
    "out of memory": Way(ends.out_of_memory),
    "SIGTERM": Way(ends.terminated, is_dead=False),
    "umount -l": Way(ends.detached, is_dead=False),
}
SHARES = {"kill": 4, "kill in a flush": 2, "kill in an invalidation": 2}
"""How often each comes in turn, if not once."""


class CrashTest:
    """A store, its writers' ledgers, and the rounds."""

    def __init__(self, place: Path, seed: int, say: Callable[[str], None]) -> None:
        """Everything random follows the seed, except when things happen."""
        self._place = place
        self._rng = random.Random(seed)
        self._say = say
        self._ledgers = {branch: Ledger() for branch in BRANCHES}
        self._held = Held()
        self._left: list[str] = []
        self._counts: dict[str, int] = {}

    def run(self, rounds: int, endings: Sequence[str] = ()) -> dict[str, int]:
        """Runs the rounds, then compares everything there ever was; returns how mounts ended.

        `AssertionError` with what is wrong. `endings`: only these, in turn; else all, shuffled.
        """
        with self._mounted({}) as mount:
            for branch in ("side", HELD):
                mount.control("branch", branch)
        for number in range(rounds):
            if self._rng.random() < 0.2:
                self._kill_while_mounting()
            ending = endings[number % len(endings)] if endings else self._next_ending()
            self._round(number, ending)
            if number % 10 == 9:
                assert_sound(self._place / "store", WINDOWS)
        with self._mounted({}) as mount:
            self._compare(mount, sample=False)
        assert_sound(self._place / "store", WINDOWS)
        return dict(sorted(self._counts.items()))

    def _next_ending(self) -> str:
        if not self._left:
            self._left = [name for name in ENDINGS for _ in range(SHARES.get(name, 1))]
            self._rng.shuffle(self._left)
        return self._left.pop()

    def _round(self, number: int, ending: str) -> None:
        way = ENDINGS[ending]
        options: dict[str, Any] = {"writeback": way.point == "flush"}
        if way.point:
            options["death"] = [way.point, self._rng.randint(1, way.moments)]
        started = time.monotonic()
        mount = self._mounted(options)
        try:
            self._compare(mount, sample=True)
            compared = time.monotonic() - started
            done, how = self._work_and_end(mount, number, way)
        except BaseException:
            sys.stderr.write(f"round {number}, {ending}\n{mount.log[-20_000:]}")
            mount.kill()
            raise
        self._counts[how] = self._counts.get(how, 0) + 1
        took = time.monotonic() - started
        self._say(f"round {number}: {how}: {done}; {compared:.1f} of {took:.1f} s compared")

    def _mounted(self, options: Mapping[str, object]) -> Served:
        fields: dict[str, Any] = {"settings": SETTINGS, "sync_interval": 0.3, "seconds": 400}
        place = self._place
        return Served(place / "store", "w", place / "mount", **fields, **options)

    def _kill_while_mounting(self) -> None:
        arguments = [self._place / "store", "w", self._place / "mount", '{"seconds": 60}']
        process = _start("acceptance_serve", *map(str, arguments))
        try:
            process.wait(self._rng.uniform(0.2, 0.8))
        except subprocess.TimeoutExpired:
            process.kill()
        _stop(process)

    def _work_and_end(self, mount: Served, number: int, way: Way) -> tuple[str, str]:
        """Returns what was acknowledged, and how the mount ended."""
        writers: list[subprocess.Popen[bytes]] = []
        collector = None
        try:
            if self._rng.random() < COLLECTED_SHARE:
                options = json.dumps({"settings": WINDOWS, "keep_seconds": KEEP_SECONDS})
                store = str(self._place / "store")
                collector = _start("acceptance_collector", store, options)
            writers = self._writers(mount, number, way)
            for writer in writers:
                assert writer.stdout is not None
                started, _, _ = select.select([writer.stdout], [], [], NOTICE_SECONDS)
                assert started, "a writer does not start"
            how = way.end(mount, self._rng)
            for writer in writers:
                assert writer.wait(NOTICE_SECONDS) == 0, f"{writer.args!r}"
            collected = self._collected(collector)
        finally:
            _stop(*writers, *([collector] if collector is not None else []))
        assert not way.is_dead or mount.process.returncode == -9, mount.log
        assert "ERROR" not in mount.log, mount.log
        ends.assert_nothing_hangs(mount.path, is_dead=way.is_dead)
        ends.assert_nobody_waits(self._place)
        return self._replayed(number) + collected, how

    def _writers(self, mount: Served, number: int, way: Way) -> list["subprocess.Popen[bytes]"]:
        if way.point == "flush":
            numbers = str(self._held.numbers)
            return [
                _start(
                    "acceptance_held",
                    *(str(mount.path), HELD, str(self._journal(HELD, number))),
                    *(self._seed(), numbers),
                )
            ]
        writers = []
        for branch, ledger in self._ledgers.items():
            saved = self._place / f"{branch}.ledger"
            saved.write_bytes(pickle.dumps(ledger))
            journal = str(self._journal(branch, number))
            arguments = (str(mount.path), branch, str(saved), journal, self._seed())
            writers.append(_start("acceptance_writer", *arguments, str(way.restores)))
        return writers

    def _seed(self) -> str:
        return str(self._rng.randrange(1 << 32))

    def _journal(self, branch: str, number: int) -> Path:
        return self._place / f"{branch}.{number}.journal"

    def _collected(self, collector: "subprocess.Popen[bytes] | None") -> str:
        """Ends a collector, half of the time in the middle of what it does."""
        if collector is None:
            return ""
        assert collector.stdin is not None
        assert collector.stdout is not None
        if collector.poll() is None and self._rng.random() < 0.5:
            collector.kill()
            collector.wait(NOTICE_SECONDS)
            return ", collector killed"
        collector.stdin.close()
        collected = collector.wait(2 * NOTICE_SECONDS)
        assert collected == 0, f"the collector ended with {collected}"
        lines = collector.stdout.read().split(b"\n")[:-1]
        sums = (sum(int(line.split()[i]) for line in lines) for i in range(4))
        return ", collected {} snapshots, {} layers, {} maps, {} packs".format(*sums)

    def _replayed(self, number: int) -> str:
        """Reads the journals of a round; returns how much was acknowledged."""
        counts = []
        for branch, ledger in self._ledgers.items():
            before = ledger.operations
            ledger.replay(self._journal(branch, number))
            counts.append(f"{branch} {ledger.operations - before} ops")
        taken = self._held.replay(self._journal(HELD, number))
        if taken:
            counts = [f"{taken} flushed snapshots"]
        for branch in (*BRANCHES, HELD):
            self._journal(branch, number).unlink(missing_ok=True)
        return ", ".join(counts)

    def _compare(self, mount: Served, *, sample: bool) -> None:
        """Compares branches and snapshots (the newest and some others, or all) with the ledgers."""
        control = mount.path / ".pyi"
        self._forget_collected(control)
        listed = set((control / "branches").iterdir())
        for branch, ledger in self._ledgers.items():
            top = mount.path if branch == "main" else control / "branches" / branch
            wrong = ledger.choose(picture_of(top))
            assert not wrong, f"branch {branch}: {wrong}"
            for name in ledger.branches:
                assert control / "branches" / name in listed, f"branch {name} of {branch} is gone"
            for name in self._some(ledger.branches, 1, sample=sample):
                found = picture_of(control / "branches" / name)
                assert found == ledger.branches[name].picture(), f"branch {name} differs"
            for id_ in self._some(ledger.digests, SNAPSHOTS_SAMPLED, sample=sample):
                found = picture_of(control / "snapshots" / id_)
                assert digest(found) == ledger.digests[id_], f"snapshot {id_} of {branch} differs"
        path = control / "branches" / HELD / HELD
        wrong = self._held.wrong_now(path.read_bytes() if path.exists() else b"")
        assert not wrong, f"what was held open: {wrong}"
        for id_ in self._some(self._held.snapshots, SNAPSHOTS_SAMPLED, sample=sample):
            found_bytes = (control / "snapshots" / id_ / HELD).read_bytes()
            wrong = self._held.wrong_in_snapshot(id_, found_bytes)
            assert not wrong, f"snapshot {id_} of what was held open: {wrong}"

    def _some(self, names: Mapping[str, object], count: int, *, sample: bool) -> list[str]:
        """Returns the newest of what is known and one other in one round of three, or all."""
        known = list(names)
        if not sample:
            return known
        if not known or self._rng.random() > SAMPLED_SHARE:
            return known[-1:]
        return [*known[-count:], self._rng.choice(known)]

    def _forget_collected(self, control: Path) -> None:
        """Forgets snapshots that the log says were deleted, and would soon be; others must be."""
        listed = {path.name for path in (control / "snapshots").iterdir()}
        deleted, young = set(), set()
        youngest_ns = time.time_ns() - (KEEP_SECONDS - NOTICE_SECONDS) * 10**9
        with (control / "log").open() as log:
            for line in log:
                entry = json.loads(line)
                if entry["operation"] == "delete-snapshot":
                    deleted.add(entry["snapshot"])
                elif entry["operation"] == "snapshot" and entry["time_ns"] > youngest_ns:
                    young.add(entry["snapshot"])
        known: list[dict[str, Any]] = [ledger.digests for ledger in self._ledgers.values()]
        for snapshots in (self._held.snapshots, *known):
            missing = snapshots.keys() - listed
            assert missing <= deleted, f"snapshots are gone: {sorted(missing - deleted)}"
            for id_ in missing:
                del snapshots[id_]
        for ledger in self._ledgers.values():
            # A collector may delete the others while a writer is about to use them.
            ledger.snapshots = {k: v for k, v in ledger.snapshots.items() if k in young}


def _start(module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.support.{module}", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _stop(*processes: "subprocess.Popen[bytes]") -> None:
    """Ends processes that may still run, whatever they do."""
    for process in processes:
        process.kill()
        process.wait(NOTICE_SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
