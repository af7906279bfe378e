"""What a CPU hog on each core loses to a mount beside it, idle and busy.

    .venv/bin/python -m bench.neighbours [--rounds 8] [--seconds 2] [--dir DIR]

Prints a markdown table. With a hog on each core no core is ever idle, so what hogs lose is the CPU
time of server and client, as the kernel accounts it, in percent of all cores: a figure that other
programs on the machine do not disturb. Beside it what hogs count less than in the moments without a
mount just before and after, which everything disturbs. A busy mount has one serial client that
opens, overwrites and closes a file. Its *work* is the CPU time that as many operations cost when
the server does not poll (`--spin-us 0`), beside the same hogs: the rest is lost to waiting.
Everything lies below a temporary directory (in --dir) that is removed.
"""

import argparse
import contextlib
import mmap
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.measure import turns
from bench.requests import Bench, Way

COUNT = struct.Struct("<Q")
SETTLED_SECONDS = 1.0
WAYS = (Way("pyfuse3", 0), Way("pyfuse3", 50), Way("direct", 0), Way("direct", 50))
COUNTING = """
import mmap, os, struct, sys
path, core, work = sys.argv[1:]
if core != "-":
    os.sched_setaffinity(0, {int(core)})
with open(path, "r+b") as file:
    memory = mmap.mmap(file.fileno(), 8)
count, block = 0, b"x" * 4096
while True:
    if work == "-":
        for _ in range(10000):
            pass
    else:
        descriptor = os.open(work, os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, block)
        os.close(descriptor)
    count += 1
    struct.pack_into("<Q", memory, 0, count)
"""


class Counting:
    """A process that does one thing again and again, and counts."""

    def __init__(self, base: Path, *, core: int | None = None, work: Path | None = None) -> None:
        """Starts it: on a core, or anywhere; overwriting a file, or turning in place."""
        handle, path = tempfile.mkstemp(dir=base)
        os.write(handle, bytes(COUNT.size))
        self._memory = mmap.mmap(handle, COUNT.size)
        os.close(handle)
        words = [path, "-" if core is None else str(core), "-" if work is None else str(work)]
        self.process = subprocess.Popen([sys.executable, "-c", COUNTING, *words])

    @property
    def count(self) -> int:
        """Returns how often it has done it."""
        found: int = COUNT.unpack_from(self._memory)[0]
        return found

    def end(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()
        self._memory.close()


class Sample(NamedTuple):
    """What happened in a while: by hogs, by the client, and CPU seconds of client and server."""

    hogs: int
    operations: int
    cpu_seconds: float


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process: of those of its threads that live."""
    used = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            used += int((task / "schedstat").read_text().split()[0])
    return used / 1e9


def server_of(bench: Bench) -> int:
    """Returns the process that serves a mount."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if os.fsencode(bench.mountpoint) in words and b"sh" not in words[0]:
                return int(path.parent.name)
    raise RuntimeError(f"nobody serves {bench.mountpoint}")


def sampled(
    hogs: list[Counting], seconds: float, server: int | None = None, client: Counting | None = None
) -> Sample:
    """Returns what happens in so many seconds."""
    pids = [] if server is None else [server]
    if client is not None:
        pids.append(client.process.pid)
    begun = sum(hog.count for hog in hogs), client.count if client else 0
    used = sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    ended = sum(hog.count for hog in hogs), client.count if client else 0
    return Sample(ended[0] - begun[0], ended[1] - begun[1], sum(map(cpu_seconds, pids)) - used)


@contextlib.contextmanager
def working(base: Path, bench: Bench) -> Iterator[Counting]:
    """Gives a client that is busy in a mount."""
    client = Counting(base, work=bench.mountpoint / "f")
    try:
        while client.count == 0:
            time.sleep(0.01)
        yield client
    finally:
        client.end()


@contextlib.contextmanager
def hogging(base: Path) -> Iterator[list[Counting]]:
    """Gives a hog on each core."""
    hogs = [Counting(base, core=core) for core in sorted(os.sched_getaffinity(0))]
    try:
        yield hogs
    finally:
        for hog in hogs:
            hog.end()


class Round(NamedTuple):
    """A mount beside hogs: what they count without it, while it is idle, while it is busy."""

    alone: float
    idle: Sample
    busy: Sample


def measured(base: Path, rounds: int, seconds: float) -> dict[str, list[Round]]:
    """Returns the rounds of each way, which take turns."""
    benches = {way.name: Bench(base, way) for way in WAYS}
    found: dict[str, list[Round]] = {name: [] for name in benches}
    try:
        for bench in benches.values():
            bench.unmount()
        with hogging(base) as hogs:
            for name in turns(list(benches), rounds):
                bench = benches[name]
                before = sampled(hogs, seconds).hogs
                bench.mount()
                time.sleep(SETTLED_SECONDS)
                server = server_of(bench)
                idle = sampled(hogs, seconds, server)
                with working(base, bench) as client:
                    busy = sampled(hogs, seconds, server, client)
                bench.unmount()
                alone = (before + sampled(hogs, seconds).hogs) / 2
                found[name].append(Round(alone, idle, busy))
    finally:
        for bench in benches.values():
            bench.unmount()
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="bench.neighbours")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    system = f"Python {platform.python_version()}, Linux {platform.release()}"
    print(f"{time.strftime('%Y-%m-%d')}, {system}, {cores} cores, load before: {load:.1f}\n")
    base = Path(tempfile.mkdtemp(prefix="pyi-bench-", dir=arguments.dir))
    try:
        found = measured(base, arguments.rounds, arguments.seconds)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    heads = ("idle", "counted", "busy", "counted", "its work", "beyond that", "operations a second")
    print(f"| hogs lose, % of {cores} cores | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    room = cores * arguments.seconds / 100
    for way in WAYS:
        asleep = [one.busy for one in found[Way(way.transport, 0).name]]
        cost = sum(one.cpu_seconds for one in asleep) / sum(one.operations for one in asleep)
        rounds = found[way.name]
        busy = [one.busy.cpu_seconds / room for one in rounds]
        works = [one.busy.operations * cost / room for one in rounds]
        columns = [
            [one.idle.cpu_seconds / room for one in rounds],
            [100 * (1 - one.idle.hogs / one.alone) for one in rounds],
            busy,
            [100 * (1 - one.busy.hogs / one.alone) for one in rounds],
            works,
            [lost - work for lost, work in zip(busy, works, strict=True)],
        ]
        cells = [f"{statistics.median(column):.2f}" for column in columns]
        speed = statistics.median(one.busy.operations for one in rounds) / arguments.seconds
        print(f"| {way.name} | {' | '.join(cells)} | {speed:,.0f} |")


if __name__ == "__main__":
    main()
