"""One operation after the other on mounts of several checkouts or transports, in turns.

    .venv/bin/python -m bench.turns [--cores one|two|any] [--rounds 25] [--dir DIR] WAY WAY...

A WAY is the directory of the programs, then words for `pyi-mount`: "../old/.venv/bin --transport
direct". All are mounted at once; a block of each operation is done on each, in an order that goes
round. Prints lower quartile and median of the blocks' medians, and how many times as fast as the
first way each is. For what a change has gained: two runs one after the other differ by more.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

BLOCK = 40
"""Operations, of which the median is one sample."""
_MADE = os.O_CREAT | os.O_EXCL | os.O_WRONLY


class Mounted:
    """A new workspace, mounted in one way."""

    def __init__(self, base: Path, way: str, core: int | None) -> None:
        """Its server stays on `core`, if one is given."""
        self.way = way
        self.tree = base / "tree"
        self.tree.mkdir(parents=True)
        programs, *words = way.split()
        self._program = str(Path(programs) / "pyi-mount")
        self._environment = os.environ | {"PYI_STORE": str(base / "store")}
        self._run(*words, "work", str(self.tree))
        if core is not None:
            (path,) = (base / "store" / "mounts").iterdir()
            server = json.loads(path.read_text())["pid"]
            for thread in os.listdir(f"/proc/{server}/task"):
                os.sched_setaffinity(int(thread), {core})
        self.samples: dict[str, list[float]] = defaultdict(list)
        self._open: dict[str, int] = {}

    def unmount(self) -> None:
        """Takes it away."""
        self._run("--unmount", str(self.tree))

    def _run(self, *words: str) -> None:
        subprocess.run(
            [self._program, *words],
            check=True,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def operations(self) -> dict[str, Callable[[str], object]]:
        """Returns what is done, in order, with each name of a block."""
        top = f"{self.tree}/"
        return {
            "create + close": lambda name: os.close(os.open(top + name, _MADE, 0o644)),
            "open to write": lambda name: self._open.update({name: os.open(top + name, os.O_RDWR)}),
            "write 4 KiB, first": lambda name: os.write(self._open[name], bytes(4096)),
            "write 4 KiB, again": lambda name: os.write(self._open[name], bytes(4096)),
            "close": lambda name: os.close(self._open.pop(name)),
            "open + close": lambda name: os.close(os.open(top + name, os.O_RDONLY)),
            "chmod": lambda name: os.chmod(top + name, 0o600),
            "rename": lambda name: os.rename(top + name, f"{top}{name}.new"),
            "unlink": lambda name: os.unlink(f"{top}{name}.new"),
            "mkdir": lambda name: os.mkdir(top + name),
            "rmdir": lambda name: os.rmdir(top + name),
            "missing name": lambda name: os.path.exists(f"{top}{name}.none"),
        }

    def block(self, what: str, names: list[str]) -> None:
        """Does one operation with each name; adds the median in microseconds."""
        operation = self.operations()[what]
        os.stat(self.tree)
        spent = []
        for name in names:
            started = time.perf_counter()
            operation(name)
            spent.append(time.perf_counter() - started)
        self.samples[what].append(statistics.median(spent) * 1e6)


@contextlib.contextmanager
def mounted(base: Path, ways: list[str], core: int | None) -> Iterator[list[Mounted]]:
    """Gives a mount for each way, and takes them away."""
    with contextlib.ExitStack() as stack:
        found = []
        for number, way in enumerate(ways):
            mount = Mounted(base / str(number), way, core)
            stack.callback(mount.unmount)
            found.append(mount)
        yield found


def report(mounts: list[Mounted]) -> Iterator[str]:
    """Yields the lines of a markdown table."""
    yield f"| us: lower quartile, median | {' | '.join(mount.way for mount in mounts)} |"
    yield f"|---|{'---|' * len(mounts)}"
    for what in mounts[0].operations():
        first = statistics.median(mounts[0].samples[what])
        cells = []
        for mount in mounts:
            quartile, median, _ = statistics.quantiles(mount.samples[what], n=4)
            cells.append(f"{quartile:.1f}, {median:.1f} ({first / median:.2f})")
        yield f"| {what} | {' | '.join(cells)} |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="bench.turns", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cores", choices=("any", "two", "one"), default="two")
    parser.add_argument("--rounds", type=int, default=25, help="blocks of each operation (25)")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where (/var/tmp)")
    parser.add_argument("way", nargs="+", help="programs, and words for pyi-mount")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    core = {"any": None, "two": cores[-1], "one": cores[0]}[arguments.cores]
    with tempfile.TemporaryDirectory(prefix="pyi-turns-", dir=arguments.dir) as place:
        with mounted(Path(place), arguments.way, core) as mounts:
            if core is not None:
                os.sched_setaffinity(0, {cores[0]})
            for number in range(max(arguments.rounds, 2)):
                names = [f"f{number}-{index}" for index in range(BLOCK)]
                for what in mounts[0].operations():
                    for turn in range(len(mounts)):
                        mounts[(turn + number) % len(mounts)].block(what, names)
        sys.stdout.write("\n".join(report(mounts)) + "\n")


if __name__ == "__main__":
    main()
