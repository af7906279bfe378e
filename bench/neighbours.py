"""What a CPU hog on each core loses to a mount beside it, idle and busy.

    .venv/bin/python -m bench.neighbours [--rounds 8] [--seconds 2] [--dir DIR]

Prints a markdown table. Hogs count; what they lose is counted against the moments without a mount
just before and after. A busy mount has one serial client that opens, overwrites and closes a file.
Its *work* is the CPU time that as many operations cost, server and client, when the server does not
poll (`--spin-us 0`), measured in the same run beside the same hogs: what the hogs lose beyond that
is lost to waiting. Everything lies below a temporary directory (in --dir) that is removed.
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
TICKS = os.sysconf("SC_CLK_TCK")
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
    """Returns the CPU time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def server_of(bench: Bench) -> int:
    """Returns the process that serves a mount."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if os.fsencode(bench.mountpoint) in words and b"sh" not in words[0]:
                return int(path.parent.name)
    raise RuntimeError(f"nobody serves {bench.mountpoint}")


def sampled(hogs: list[Counting], seconds: float, bench: Bench | None, base: Path) -> Sample:
    """Returns what happens in so many seconds; with a mount, its client is busy meanwhile."""
    client = None if bench is None else Counting(base, work=bench.mountpoint / "f")
    pids = [] if bench is None or client is None else [server_of(bench), client.process.pid]
    try:
        while client is not None and client.count == 0:
            time.sleep(0.01)
        begun = sum(hog.count for hog in hogs), client.count if client else 0
        used = sum(map(cpu_seconds, pids))
        time.sleep(seconds)
        ended = sum(hog.count for hog in hogs), client.count if client else 0
        used = sum(map(cpu_seconds, pids)) - used
    finally:
        if client is not None:
            client.end()
    return Sample(ended[0] - begun[0], ended[1] - begun[1], used)


@contextlib.contextmanager
def hogging(base: Path) -> Iterator[list[Counting]]:
    """Gives a hog on each core."""
    hogs = [Counting(base, core=core) for core in sorted(os.sched_getaffinity(0))]
    try:
        yield hogs
    finally:
        for hog in hogs:
            hog.end()


def measured(
    base: Path, rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[Sample]]]:
    """Returns what part the hogs lost, idle and busy by way, and the samples of busy mounts."""
    lost: dict[str, list[float]] = {}
    samples: dict[str, list[Sample]] = {}
    ways = {way.name: way for way in WAYS}
    benches = {}
    for name, way in ways.items():
        benches[name] = Bench(base, way)
        benches[name].unmount()
    with hogging(base) as hogs:
        for name in turns(list(ways), rounds):
            before = sampled(hogs, seconds, None, base).hogs
            benches[name].mount()
            time.sleep(SETTLED_SECONDS)
            idle = sampled(hogs, seconds, None, base).hogs
            busy = sampled(hogs, seconds, benches[name], base)
            benches[name].unmount()
            alone = (before + sampled(hogs, seconds, None, base).hogs) / 2
            lost.setdefault(f"{name}, idle", []).append(1 - idle / alone)
            lost.setdefault(f"{name}, busy", []).append(1 - busy.hogs / alone)
            samples.setdefault(name, []).append(busy)
    return lost, samples


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
        lost, samples = measured(base, arguments.rounds, arguments.seconds)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print("| hogs lose, % | idle | busy | the work it does | beyond that | operations a second |")
    print("|---|---|---|---|---|---|")
    room = cores * arguments.seconds
    for way in WAYS:
        asleep = samples[Way(way.transport, 0).name]
        per_operation = sum(one.cpu_seconds for one in asleep) / sum(
            one.operations for one in asleep
        )
        works = [100 * one.operations * per_operation / room for one in samples[way.name]]
        busy = [100 * one for one in lost[f"{way.name}, busy"]]
        beyond = statistics.median(all_ - work for all_, work in zip(busy, works, strict=True))
        cells = [
            statistics.median(100 * one for one in lost[f"{way.name}, idle"]),
            statistics.median(busy),
            statistics.median(works),
            beyond,
        ]
        speed = statistics.median(one.operations for one in samples[way.name]) / arguments.seconds
        print(f"| {way.name} | {' | '.join(f'{one:.1f}' for one in cells)} | {speed:,.0f} |")


if __name__ == "__main__":
    main()
