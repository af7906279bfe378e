"""What a mount costs that is served beside another one, and by a process of its own.

    .venv/bin/python -m bench.beside [--rounds 20] [--mounts 20] [--seconds 2] [--dir DIR]

Prints three markdown tables: from asking for the mount of a fork that is there to the end of the
first write into it (ways in turns), the memory of many, and what serial clients of two mounts do a
second. Everything lies below a temporary directory (in --dir) that is removed.
"""

import argparse
import contextlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import turns

BIN = Path(sys.executable).parent
CLIENT = """
import os, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
sys.stdin.readline()
end, count, times = time.perf_counter() + seconds, 0, []
while (now := time.perf_counter()) < end:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"x" * 4096)
    os.close(descriptor)
    times.append(time.perf_counter() - now)
times.sort()
print(len(times), 1e6 * times[len(times) // 2], 1e6 * times[len(times) * 99 // 100])
"""


class Bench:
    """A store with one mount, `first`, and forks of it."""

    def __init__(self, base: Path, files: int) -> None:
        """Makes and mounts it, with so many files."""
        self.base, self.store, self.first = base, base / "store", base / "first"
        tree = base / "tree"
        for index in range(files):
            directory = tree / f"d{index // 100}"
            if index % 100 == 0:
                directory.mkdir(parents=True)
            (directory / f"f{index}").write_text(f"{index}\n")
        tree.mkdir(exist_ok=True)
        self.first.mkdir()
        self.mount("first", self.first, "--from", f"{tree}/")
        self._count = 0

    def mount(self, workspace: str, at: Path, *options: str) -> None:
        """Runs `pyi-mount`."""
        words: list[str | Path] = [BIN / "pyi-mount", "--store", self.store]
        words += [*options, workspace, at]
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)

    def unmount(self, at: Path) -> None:
        """Ends a mount."""
        subprocess.run([BIN / "pyi-mount", "--unmount", at], check=False)

    def fork(self) -> tuple[str, Path]:
        """Returns a new fork and an empty directory."""
        self._count += 1
        name = f"fork{self._count}"
        self.ask("fork", name)
        at = self.base / name
        at.mkdir()
        return name, at

    def ask(self, name: str, text: str) -> None:
        """Writes a command to the first mount."""
        descriptor = os.open(self.first / ".pyi" / name, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def beside(self, name: str, at: Path) -> None:
        """Asks what serves the first mount."""
        self.ask("mount", f"{name}/ {at}")

    def command_beside(self, name: str, at: Path) -> None:
        """The same by the command line."""
        self.mount(name, at, "--beside", str(self.first))


def private_kb() -> dict[int, int]:
    """Returns `Private_Dirty` of every process of ours that serves or holds a mount."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"pyi-" in path.read_bytes():
                text = (path.parent / "smaps_rollup").read_text()
                (line,) = (row for row in text.splitlines() if row.startswith("Private_Dirty"))
                found[int(path.parent.name)] = int(line.split()[1])
    return found


def first_writes(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Returns ms from asking to the end of the first write, by way."""
    ways: dict[str, Callable[[str, Path], None]] = {
        "`.pyi/mount`": bench.beside,
        "`pyi-mount --beside`": bench.command_beside,
        "`pyi-mount`": bench.mount,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in turns(list(ways), rounds):
        name, at = bench.fork()
        begun = time.perf_counter()
        ways[way](name, at)
        (at / "first").write_bytes(b"x")
        found[way].append(1e3 * (time.perf_counter() - begun))
        bench.unmount(at)
    return found


@contextlib.contextmanager
def mounted(bench: Bench, count: int, mount: Callable[[str, Path], None]) -> Iterator[list[Path]]:
    """Gives so many mounts of forks."""
    places = []
    for _ in range(count):
        name, at = bench.fork()
        mount(name, at)
        (at / "first").write_bytes(b"x")
        places.append(at)
    try:
        yield places
    finally:
        for at in places:
            bench.unmount(at)


def clients(places: list[Path], seconds: float) -> list[tuple[float, float, float]]:
    """Returns operations a second, median and 99th percentile in us of a client in each mount."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, at / "f", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for at in places
    ]
    time.sleep(0.3)
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found = []
    for process in started:
        count, median, late = map(float, process.communicate()[0].split())
        found.append((count / seconds, median, late))
    return found


def print_memory(bench: Bench, count: int) -> None:
    """Prints what the memory of all our processes grows by."""
    print(f"| {count} mounts | MB each, Private_Dirty | processes each |\n|---|---|---|")
    for way, mount in (("beside", bench.beside), ("processes", bench.mount)):
        before = private_kb()
        with mounted(bench, count, mount):
            after = private_kb()
        grown = (sum(after.values()) - sum(before.values())) / 1024 / count
        print(f"| {way} | {grown:.2f} | {(len(after) - len(before)) / count:.1f} |")


def print_clients(bench: Bench, rounds: int, seconds: float) -> None:
    """Prints what clients of two mounts do at once, ways in turns."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for way in turns(["beside", "processes", "beside, one idle"], rounds):
        mount = bench.mount if way == "processes" else bench.beside
        with mounted(bench, 2, mount) as places:
            busy = places[:1] if "idle" in way else places
            found.setdefault(way, []).extend(clients(busy, seconds))
    print("| open + write 4 KiB + close | a second, each client | median, us | 99th, us |")
    print("|---|---|---|---|")
    for way, rows in found.items():
        rate, median, late = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {way} | {rate:,.0f} | {median:.0f} | {late:.0f} |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="bench.beside")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--mounts", type=int, default=20)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    system = f"Python {platform.python_version()}, Linux {platform.release()}"
    print(f"{time.strftime('%Y-%m-%d')}, {system}, load before: {os.getloadavg()[0]:.1f}\n")
    base = Path(tempfile.mkdtemp(prefix="pyi-bench-", dir=arguments.dir))
    bench = Bench(base, arguments.files)
    try:
        print("| first write into a mount of a fork, ms | median | fastest | slowest |")
        print("|---|---|---|---|")
        for way, times in first_writes(bench, arguments.rounds).items():
            print(
                f"| {way} | {statistics.median(times):.1f} | {min(times):.1f} | {max(times):.1f} |"
            )
        print()
        print_memory(bench, arguments.mounts)
        print()
        print_clients(bench, max(2, arguments.rounds // 5), arguments.seconds)
    finally:
        bench.unmount(bench.first)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
