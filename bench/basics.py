"""What the cheap operations cost by size of tree, and micro-operations beside the disk below.

    .venv/bin/python -m bench.basics [--files 200,20000,200000] [--dir DIR] [--json FILE]

Prints markdown tables: medians and 99th percentiles of many repetitions in this run. Mounts are
real and are taken down at the end; everything lies below a temporary directory (in --dir) that is
removed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
EDITS = 10


def microseconds(operation: Callable[[], object], count: int) -> list[float]:
    """Returns how long each of `count` calls took, sorted."""
    taken = []
    for _ in range(count):
        start = time.perf_counter_ns()
        operation()
        taken.append((time.perf_counter_ns() - start) / 1000)
    return sorted(taken)


def summary(taken: list[float]) -> dict[str, float]:
    """Returns the median and the 99th percentile."""
    return {"p50": statistics.median(taken), "p99": taken[int(len(taken) * 0.99)]}


class Mounted:
    """A workspace of `count` files, imported and mounted."""

    def __init__(self, base: Path, count: int) -> None:
        """Makes the files, imports and mounts them; says how long the mount took."""
        self.source, self.mountpoint = base / f"src{count}", base / f"mnt{count}"
        self.name = f"w{count}"
        for index in range(count):
            directory = self.source / f"d{index % max(count // 200, 1)}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"f{index}").write_bytes(b"content of file %d\n" % index)
        self.mountpoint.mkdir()
        self.environment = os.environ | {"PYI_STORE": str(base / "store")}
        self.command("pyi-mount", "--from", str(self.source), self.name, str(self.mountpoint))
        self.command("pyi-mount", "--unmount", str(self.mountpoint))
        start = time.perf_counter()
        self.command("pyi-mount", self.name, str(self.mountpoint))
        self.mount_ms = (time.perf_counter() - start) * 1000
        self.control = self.mountpoint / ".pyi"
        self.edited = sorted(self.mountpoint.glob("d0/f*"))[:EDITS]

    def command(self, *words: str) -> None:
        """Runs one of our commands."""
        subprocess.run(
            [BIN / words[0], *words[1:]],
            check=True,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def edit(self) -> None:
        """Changes ten files."""
        for path in self.edited:
            with path.open("r+b", buffering=0) as file:
                file.write(b"%d" % time.perf_counter_ns())

    def cheap_operations(self, count: int = 100) -> dict[str, dict[str, float]]:
        """Returns what snapshot, branch, restore and drop cost on descriptors kept open."""
        found: dict[str, dict[str, float]] = {}
        snapshot = os.open(self.control / "snapshot", os.O_RDWR)
        restore = os.open(self.control / "restore", os.O_WRONLY)
        branch = os.open(self.control / "branch", os.O_WRONLY)
        drop = os.open(self.control / "drop", os.O_WRONLY)
        first = os.pread(snapshot, 4096, 0).split(b"\t")[0]
        found["snapshot, unchanged"] = summary(
            microseconds(lambda: os.pread(snapshot, 4096, 0), count)
        )
        times: dict[str, list[float]] = {"snapshot of ten edits": [], "restore of ten edits": []}
        for _ in range(count):
            self.edit()
            times["snapshot of ten edits"] += microseconds(lambda: os.pread(snapshot, 4096, 0), 1)
            times["restore of ten edits"] += microseconds(lambda: os.pwrite(restore, first, 0), 1)
        found |= {name: summary(sorted(taken)) for name, taken in times.items()}
        names = iter(range(count))
        found["branch"] = summary(
            microseconds(lambda: os.pwrite(branch, b"b%d" % next(names), 0), count)
        )
        names = iter(range(count))
        found["drop"] = summary(
            microseconds(lambda: os.pwrite(drop, b"b%d" % next(names), 0), count)
        )
        for descriptor in (snapshot, restore, branch, drop):
            os.close(descriptor)
        taken = []
        for index in range(5):
            start = time.perf_counter()
            self.command("pyi-fork", self.name, f"{self.name}-fork{index}")
            taken.append((time.perf_counter() - start) * 1e6)
        found["pyi-fork, the whole command"] = {"p50": statistics.median(taken), "p99": max(taken)}
        found["pyi-mount, the whole command"] = {
            "p50": self.mount_ms * 1000,
            "p99": self.mount_ms * 1000,
        }
        return found

    def end(self) -> None:
        """Unmounts."""
        self.command("pyi-mount", "--unmount", str(self.mountpoint))


def micro_operations(directory: Path, count: int = 2000) -> dict[str, float]:
    """Returns us per operation of a serial client in a directory."""
    work = directory / "work"
    work.mkdir()
    block = os.urandom(4096)

    def each(operation: Callable[[str], object], prefix: str = "") -> float:
        start = time.perf_counter()
        for index in range(count):
            operation(f"{work}/{prefix}{index}")
        return (time.perf_counter() - start) / count * 1e6

    def create(path: str) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
        os.write(descriptor, block)
        os.close(descriptor)

    def read(path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 4096)
        os.close(descriptor)

    def overwrite(path: str) -> None:
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, block)
        os.close(descriptor)

    found = {
        "create+write 4 KiB+close": each(create),
        "stat": each(os.stat),
        "failing stat": each(os.path.exists, "x"),
        "open+read 4 KiB+close": each(read),
        "open+overwrite 4 KiB+close": each(overwrite),
        "rename": each(lambda path: os.rename(path, path + "r")),
    }
    start = time.perf_counter()
    for index in range(count):
        os.unlink(f"{work}/{index}r")
    found["unlink"] = (time.perf_counter() - start) / count * 1e6
    megabyte = os.urandom(1 << 20)
    with (work / "big").open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(256):
            file.write(megabyte)
        found["write 1 MiB"] = (time.perf_counter() - start) / 256 * 1e6
    shutil.rmtree(work)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", default="200,20000,200000", help="sizes of the trees")
    parser.add_argument("--dir", default=None, help="where the temporary directory goes")
    parser.add_argument("--json", default=None, help="also write the figures there")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="pyi-basics.", dir=arguments.dir))
    sizes = [int(size) for size in arguments.files.split(",")]
    figures: dict[str, dict[str, object]] = {}
    micro: dict[str, dict[str, float]] = {"the disk below": {}, "mounted": {}}
    try:
        for count in sizes:
            mounted = Mounted(base, count)
            try:
                figures[f"{count:,} files"] = dict(mounted.cheap_operations())
                if count == sizes[0]:
                    runs: dict[str, list[dict[str, float]]] = {name: [] for name in micro}
                    for _ in range(5):
                        runs["the disk below"].append(micro_operations(base))
                        runs["mounted"].append(micro_operations(mounted.mountpoint))
                    for name, all_runs in runs.items():
                        micro[name] = {
                            key: statistics.median(run[key] for run in all_runs)
                            for key in all_runs[0]
                        }
            finally:
                mounted.end()
    finally:
        shutil.rmtree(base, ignore_errors=True)
    report(figures, micro)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"cheap": figures, "micro": micro}, indent=1))


def report(figures: dict[str, dict[str, object]], micro: dict[str, dict[str, float]]) -> None:
    """Prints both tables as markdown."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    machine = f"{system}, {os.cpu_count()} cores"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}; load before: {os.getloadavg()[0]:.1f}\n")
    print(
        "us, median (99th percentile) | " + " | ".join(figures) + "\n---|" + "---|" * len(figures)
    )
    for name in next(iter(figures.values())):
        cells = []
        for column in figures.values():
            cell = column[name]
            assert isinstance(cell, dict)
            cells.append(f"{cell['p50']:,.0f} ({cell['p99']:,.0f})")
        print(f"{name} | " + " | ".join(cells))
    print("\nus, serial client | the disk below | mounted | ratio\n---|---|---|---")
    for name, below in micro["the disk below"].items():
        above = micro["mounted"][name]
        print(f"{name} | {below:,.1f} | {above:,.1f} | {above / below:.1f}")


if __name__ == "__main__":
    main()
