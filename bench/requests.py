"""How many requests each operation makes of a mount, and how long it takes, on both transports.

    .venv/bin/python -m bench.requests [--rounds 48] [--files 50] [--dir DIR] [--spin-us US]
        [--cores any|two|one]

Prints markdown tables: pyfuse3 that sleeps for each request, pyfuse3 that polls for the next one,
direct that polls. All are mounted at the same time and take turns, operation by operation and round
by round, so that a busy machine is busy for all. Everything lies below a temporary directory (in
--dir) that is removed.

Whether the kernel runs client and server on one core or on two is what a request costs: where they
share one, nobody has to be woken, and there is nothing that polling could save. Left to itself it
does now this, now that. `--cores two` keeps the client on the first core and the servers on the
next one, as where there are idle cores enough; `--cores one` keeps all on the first.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent
BLOCK = b"x" * 4096
LISTED = 100
STARTED_SECONDS = 1
# Odd: so that who is first changes in those rounds, too.
FRESH_EVERY = 7
# Told in batches when the kernel finds the time; nobody waits for them.
NOT_WAITED_FOR = {"forget", "batch_forget"}


def create(path: Path) -> None:
    """Makes a file of 4 KiB."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(descriptor, BLOCK)
    os.close(descriptor)


def read(path: Path) -> None:
    """Reads a file of 4 KiB."""
    descriptor = os.open(path, os.O_RDONLY)
    os.read(descriptor, 4096)
    os.close(descriptor)


def overwrite(path: Path) -> None:
    """Overwrites a file of 4 KiB in place."""
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, BLOCK)
    os.close(descriptor)


def missing(path: Path) -> None:
    """Looks for a name that is not there."""
    with contextlib.suppress(FileNotFoundError):
        os.stat(f"{path}.none")


def listing(path: Path) -> None:
    """Lists the hundred names of the directory `listed` beside."""
    os.listdir(path.parent / "listed")


def long_listing(path: Path) -> None:
    """Lists that directory with the attributes of each name, as `ls -l`."""
    with os.scandir(path.parent / "listed") as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def rename(path: Path) -> None:
    """Gives a file another name in its directory."""
    os.rename(path, f"{path}.new")


def unlink(path: Path) -> None:
    """Removes that name."""
    os.unlink(f"{path}.new")


Operation = Callable[[Path], None]
WRITTEN: dict[str, Operation] = {
    "create + write + close": create,
    "stat, just made": os.stat,  # type: ignore[dict-item]
    "open + overwrite + close": overwrite,
    "missing name, first": missing,
    "missing name, again": missing,
}
"""In order, on a mount that made the files itself."""
SEEN: dict[str, Operation] = {
    "stat, cold": os.stat,  # type: ignore[dict-item]
    "stat, warm": os.stat,  # type: ignore[dict-item]
    "open + read + close, cold": read,
    "open + read + close, warm": read,
    "readdir, cold": listing,
    "readdir, warm": listing,
    "readdir with stat, warm": long_listing,
    "rename": rename,
    "unlink": unlink,
}
"""In order, on a mount that has not seen the files before."""


class Way(NamedTuple):
    """How a mount is served: by which transport, polling for how long before it sleeps."""

    transport: str
    spin_us: int

    @property
    def name(self) -> str:
        """Returns what stands above its column."""
        return self.transport if self.spin_us else f"{self.transport} asleep"


class Bench:
    """A workspace mounted in one way."""

    def __init__(self, base: Path, way: Way, core: int | None = None) -> None:
        """Mounts a new workspace; its server stays on `core`, if one is given."""
        self.way = way
        self._core = core
        self.name = way.name
        self._workspace = way.name.replace(" ", "-")
        self.mountpoint = base / self._workspace
        self.mountpoint.mkdir()
        self._environment = os.environ | {"PYI_STORE": str(base / "store")}
        self._status = -1
        self.mount()

    def mount(self) -> None:
        """Mounts the workspace, again if it was."""
        options = ("--transport", self.way.transport, "--spin-us", str(self.way.spin_us))
        self._run("pyi-mount", *options, self._workspace, str(self.mountpoint))
        self._status = os.open(self.mountpoint / ".pyi" / "status", os.O_RDONLY)
        if self._core is not None:
            # Afterwards: a server that begins with one core never polls (decision 0010).
            for thread in os.listdir(f"/proc/{self._server()}/task"):
                os.sched_setaffinity(int(thread), {self._core})

    def unmount(self) -> None:
        """Takes the mount away."""
        if self._status >= 0:
            os.close(self._status)
            self._status = -1
            self._run("pyi-mount", "--unmount", str(self.mountpoint))

    def prepare(self) -> None:
        """Makes the directories."""
        (self.mountpoint / "d" / "listed").mkdir(parents=True)
        for index in range(LISTED):
            (self.mountpoint / "d" / "listed" / f"n{index}").touch()

    def requests(self) -> Counter[str]:
        """Returns what was asked so far; asking is one `read`."""
        found = json.loads(os.pread(self._status, 1 << 20, 0))["requests"]
        return Counter({name: n for name, n in found.items() if name not in NOT_WAITED_FOR})

    def cost(self, operation: Operation, path: Path, *, settles: bool = True) -> dict[str, int]:
        """Returns the requests that one operation makes.

        `settles`: in directories whose attributes the kernel has.
        """
        if settles:
            for place in (self.mountpoint, path.parent, path.parent / "listed"):
                os.stat(place)
        before = self.requests()
        operation(path)
        after = self.requests()
        after.subtract(before)
        after["read"] -= 1
        return {name: n for name, n in sorted(after.items()) if n}

    def _server(self) -> int:
        """Returns the process that serves this mount: each says so in a file of its own."""
        for path in (Path(self._environment["PYI_STORE"]) / "mounts").iterdir():
            found = json.loads(path.read_text())
            if found["mountpoint"] == str(self.mountpoint):
                return int(found["pid"])
        raise RuntimeError(f"nobody serves {self.mountpoint}")

    def _run(self, *words: str) -> None:
        subprocess.run(
            [BIN / words[0], *words[1:]],
            check=True,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def kept_on(core: int | None) -> Iterator[None]:
    """Runs the body on one core, if one is given."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def benches(base: Path, *ways: Way, core: int | None = None) -> Iterator[list[Bench]]:
    """Gives a mount for each way, and takes them away. `core`: where their servers stay."""
    found: list[Bench] = []
    try:
        for way in ways:
            found.append(Bench(base, way, core))
            found[-1].prepare()
        yield found
    finally:
        for bench in found:
            bench.unmount()


def counted(bench: Bench) -> dict[str, dict[str, int]]:
    """Returns the requests of each operation, done once; mounts again between the two halves."""
    path = bench.mountpoint / "d" / "f"
    # The directory is known, as it is to whoever works in it.
    os.stat(path.parent)
    found = {name: bench.cost(operation, path) for name, operation in WRITTEN.items()}
    bench.unmount()
    bench.mount()
    os.stat(path.parent / "listed")
    return found | {name: bench.cost(operation, path) for name, operation in SEEN.items()}


def each(operation: Operation, path: Path) -> float:
    """Returns how many microseconds one operation took."""
    start = time.perf_counter()
    operation(path)
    return (time.perf_counter() - start) * 1e6


def timed(
    found: list[Bench], rounds: int, count: int, core: int | None = None
) -> dict[str, dict[str, list[float]]]:
    """Returns microseconds of each operation on each mount: for each round the median of `count`.

    The client is on `core`, if one is given.

    Not the mean: a client that loses its core to somebody else for a while would be all of it.

    Every seventh round mounts again, for what a mount has not seen yet.
    """
    taken: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        is_fresh = turn % FRESH_EVERY == 0
        files = [f"t{turn}-{index}" for index in range(count)]
        for operations in (WRITTEN, SEEN):
            for name, operation in operations.items():
                # Who goes first changes from round to round.
                first = turn % len(found)
                for bench in found[first:] + found[:first]:
                    # Of listings the first alone is cold: all are of one directory.
                    chosen = files[:1] if name == "readdir, cold" else files
                    paths = [bench.mountpoint / "d" / file for file in chosen]
                    with kept_on(core):
                        each_us = statistics.median(each(operation, path) for path in paths)
                    # It is cold to a fresh mount only; what follows is warm in any case.
                    if is_fresh or "cold" not in name:
                        taken.setdefault(name, {}).setdefault(bench.name, []).append(each_us)
            for bench in found if is_fresh and operations is WRITTEN else ():
                bench.unmount()
                bench.mount()
                os.stat(bench.mountpoint / "d" / "listed")
            if is_fresh:
                # Who was mounted last is still starting.
                time.sleep(STARTED_SECONDS)
    return taken


def low(taken: list[float]) -> float:
    """Returns the median of the lower half: what it costs when nobody else needs the cores."""
    return statistics.median(sorted(taken)[: (len(taken) + 1) // 2])


def print_counts(counts: dict[str, dict[str, dict[str, int]]]) -> None:
    """Prints the requests of each operation."""
    print("| requests | " + " | ".join(counts) + " |\n|---|" + "---|" * len(counts))
    for name in WRITTEN | SEEN:
        cells = [
            ", ".join(f"{n} {what}" if n > 1 else what for what, n in found[name].items()) or "none"
            for found in counts.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def print_times(times: dict[str, dict[str, list[float]]], asking: set[str]) -> None:
    """Prints microseconds, how many times faster each column is than the one before, and means.

    Of the operations that are `asking` for something: the others never come to a transport.
    """
    names = list(next(iter(times.values())))
    steps = list(pairwise(names))
    heads = [*names, *(f"{old} / {new}" for old, new in steps)]
    print("\n| us: lower quartile, median | " + " | ".join(heads) + " |")
    print("|---|" + "---|" * len(heads))
    ratios: dict[tuple[str, str], list[tuple[float, float]]] = {step: [] for step in steps}
    steps_of: dict[str, list[tuple[float, float]]] = {name: [] for name in times}
    for name, row in times.items():
        found = {way: (low(taken), statistics.median(taken)) for way, taken in row.items()}
        for old, new in steps:
            ratio = (found[old][0] / found[new][0], found[old][1] / found[new][1])
            steps_of[name].append(ratio)
            if name in asking:
                ratios[old, new].append(ratio)
        cells = [f"{a:.1f}, {b:.1f}" for a, b in found.values()]
        cells += [f"{low:.2f}, {median:.2f}" for low, median in steps_of[name]]
        print(f"| {name} | {' | '.join(cells)} |")
    means = [
        ", ".join(f"{statistics.geometric_mean(one):.2f}" for one in zip(*each, strict=True))
        for each in ratios.values()
    ]
    print("| geometric mean of what asks | " + "| " * len(names) + " | ".join(means) + " |")


def main() -> None:
    """Runs everything and prints it."""
    parser = argparse.ArgumentParser(prog="bench.requests")
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--spin-us", type=int, default=50)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--cores", choices=("any", "two", "one"), default="any")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if arguments.cores == "two" and len(cores) < 2:
        parser.error("--cores two needs two cores")
    base = Path(tempfile.mkdtemp(prefix="pyi-bench-", dir=arguments.dir))
    system = f"Python {platform.python_version()}, Linux {platform.release()}"
    load = os.getloadavg()[0]
    print(
        f"{time.strftime('%Y-%m-%d')}, {system}, {os.cpu_count()} cores ({arguments.cores} of "
        f"them used), load before: {load:.1f}\n"
    )
    ways = [Way(name, arguments.spin_us) for name in ("pyfuse3", "direct")]
    try:
        (base / "counted").mkdir()
        with benches(base / "counted", *ways) as found:
            counts = {bench.name: counted(bench) for bench in found}
        print_counts(counts)
        asking = {name for asked in counts.values() for name, what in asked.items() if what}
        (base / "timed").mkdir()
        client, server = {
            "any": (None, None),
            "two": (cores[0], cores[-1]),
            "one": (cores[0], cores[0]),
        }[arguments.cores]
        with benches(base / "timed", Way("pyfuse3", 0), *ways, core=server) as found:
            print_times(timed(found, arguments.rounds, arguments.files, client), asking)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
