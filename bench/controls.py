"""What a command to `.pyi` costs by each way to give it, on the direct transport.

    .venv/bin/python -m bench.controls [--rounds 20] [--count 200] [--dir DIR] [--spin-us US]

Prints a markdown table. The ways take turns, each round beginning with the next one. Everything
lies below a temporary directory (in --dir) that is removed.
"""

import argparse
import fcntl
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import turns
from bench.requests import Way, benches
from pyi_fs.control import ioctls

EMPTY = bytes(ioctls.TEXT_BYTES)


class Ways:
    """Takes a snapshot by a descriptor kept open, by an ioctl on the root, by opening the file."""

    def __init__(self, mountpoint: Path) -> None:
        """Opens what is kept open."""
        self._path = mountpoint / ".pyi" / "snapshot"
        self._control = os.open(self._path, os.O_RDWR)
        self._root = os.open(mountpoint, os.O_RDONLY)
        self._file = os.open(mountpoint / "file", os.O_RDWR | os.O_CREAT)
        self._array = bytearray(ioctls.TEXT_BYTES)
        self._turn = 0

    def close(self) -> None:
        """Closes everything."""
        for descriptor in (self._control, self._root, self._file):
            os.close(descriptor)

    def pread(self) -> None:
        """One request."""
        os.pread(self._control, 4096, 0)

    def ioctl(self) -> None:
        """One request, with 1 KiB in and out."""
        self._array[:] = EMPTY
        fcntl.ioctl(self._root, ioctls.SNAPSHOT, self._array)

    def open_read_close(self) -> None:
        """What `cat` does: names below `.pyi` are looked up each time."""
        descriptor = os.open(self._path, os.O_RDONLY)
        os.read(descriptor, 4096)
        os.close(descriptor)

    def change(self) -> None:
        """Changes the tree."""
        self._turn += 1
        os.pwrite(self._file, self._turn.to_bytes(8, "little"), 0)


def timed(ways: Ways, rounds: int, count: int) -> dict[str, dict[bool, list[float]]]:
    """Returns means in us for each round, by way and by whether the tree changed before."""
    every: dict[str, Callable[[], None]] = {
        "`pread` on a descriptor kept open": ways.pread,
        "`ioctl` on any open file": ways.ioctl,
        "open + read + close": ways.open_read_close,
    }
    taken: dict[str, dict[bool, list[float]]] = {name: {False: [], True: []} for name in every}
    for is_changed in (False, True):
        for name in turns(list(every), rounds):
            way, seconds = every[name], 0.0
            for _ in range(count):
                if is_changed:
                    ways.change()
                start = time.perf_counter()
                way()
                seconds += time.perf_counter() - start
            taken[name][is_changed].append(seconds / count * 1e6)
    return taken


def main() -> None:
    """Runs everything and prints it."""
    parser = argparse.ArgumentParser(prog="bench.controls")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--spin-us", type=int, default=50)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="pyi-bench-", dir=arguments.dir))
    try:
        with benches(base, Way("direct", arguments.spin_us)) as (bench,):
            ways = Ways(bench.mountpoint)
            try:
                taken = timed(ways, arguments.rounds, arguments.count)
            finally:
                ways.close()
        print("| us, medians | unchanged | changed by one write |\n|---|---|---|")
        for name, row in taken.items():
            cells = [f"{statistics.median(row[each]):.1f}" for each in (False, True)]
            print(f"| {name} | {' | '.join(cells)} |")
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
