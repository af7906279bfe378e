"""How much memory mounts need that read the same files: passed through to one copy, or not.

    .venv/bin/python -m bench.sharing [--mounts 50] [--megabytes 200] [--files 20] [--dir DIR]

As root, on Linux 6.9 or later. Every second mount is a mount of the snapshot, the others are
writable mounts of forks of it, which read it below `.pyi/snapshots/`. Each reads everything once,
one after the other, begun with empty caches; then all is done again without plain files. Prints a
markdown table. Everything lies below a temporary directory (in --dir) that is removed.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine import look
from bench.peers.base import BIN, run

MB = 1_000_000
PIECE = 1 << 20


def memory() -> dict[str, float]:
    """Returns MB by field of /proc/meminfo."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    fields = (line.split() for line in lines)
    return {words[0].rstrip(":"): int(words[1]) * 1024 / MB for words in fields}


def drop_caches() -> None:
    """Begins with nothing in memory that could be on the disk."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def make_source(directory: Path, megabytes: int, files: int) -> None:
    """Makes files that compress by half, as programs and libraries do."""
    directory.mkdir()
    chance, size = random.Random(1), megabytes * MB // files
    for number in range(files):
        data = b"".join(
            chance.randbytes(2048) + bytes([number]) * 2048 for _ in range(size // 4096)
        )
        (directory / f"f{number}").write_bytes(data)


class Mounts:
    """Mounts of one snapshot and of forks of it."""

    def __init__(self, base: Path, count: int) -> None:
        """Mounts nothing yet."""
        self._base = base
        self._store = base / "store"
        self._count = count

    def command(self, program: str, *words: object) -> str:
        """Runs one of our commands on the store."""
        return run([BIN / program, "--store", self._store, *words])

    def make(self, source: Path) -> None:
        """Imports the source, takes the snapshot `base`, and forks it."""
        with self._mounted("work", "--from", f"{source}/", "work") as tree:
            (tree / ".pyi" / "snapshot").write_text("base")
        for number in range(1, self._count, 2):
            self.command("pyi-fork", "work@base", f"fork{number}")
            with self._mounted(f"fork{number}", f"fork{number}") as tree:
                (tree / ".pyi" / "snapshot").write_text("base")

    @contextmanager
    def all(self) -> Iterator[list[Path]]:
        """Gives where each mount shows the snapshot."""
        trees: list[Path] = []
        places: list[Path] = []
        try:
            for number in range(self._count):
                tree = self._base / f"m{number}"
                tree.mkdir(exist_ok=True)
                what = f"fork{number}" if number % 2 else "work@base"
                self.command("pyi-mount", what, tree)
                trees.append(tree)
                places.append(tree / ".pyi" / "snapshots" / "base" if number % 2 else tree)
            yield places
        finally:
            for tree in trees:
                run([BIN / "pyi-mount", "--unmount", tree])

    @contextmanager
    def _mounted(self, name: str, *words: object) -> Iterator[Path]:
        tree = self._base / f"making-{name}"
        tree.mkdir()
        self.command("pyi-mount", *words, tree)
        try:
            yield tree
        finally:
            run([BIN / "pyi-mount", "--unmount", tree])

    def processes_mb(self) -> float:
        """Returns the proportional memory of all mount processes."""
        total = 0.0
        for path in (self._store / "mounts").iterdir():
            process = json.loads(path.read_text())["pid"]
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024 / MB
        return total


def read_all(directory: Path) -> float:
    """Reads all files of a mount; returns the seconds it took."""
    started = time.perf_counter()
    for path in sorted(directory.iterdir()):
        with path.open("rb", buffering=0) as file:
            while file.read(PIECE):
                continue
    return time.perf_counter() - started


def measured(mounts: Mounts) -> list[str]:
    """Returns the fields of one row."""
    with mounts.all() as places:
        drop_caches()
        before, processes = memory(), mounts.processes_mb()
        times = [read_all(place) for place in places]
        cached = memory()["Cached"] - before["Cached"]
        more = mounts.processes_mb() - processes
    return [
        f"{cached:,.0f}",
        f"{more:,.0f}",
        f"{times[0]:.2f}",
        f"{statistics.median(times[1:]):.3f}",
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mounts", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--dir", default="/var/tmp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyi-sharing-", dir=options.dir) as name:
        base = Path(name)
        print(look(base).line())
        mounts = Mounts(base, options.mounts)
        make_source(base / "source", options.megabytes, options.files)
        mounts.make(base / "source")
        head = ["", "page cache, MB", "mount processes, MB", "first mount reads, s", "others, s"]
        print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for what, setting in (("passed through", "10%"), ("ordinary", "0")):
            mounts.command("pyi-gc", "set", f"plain={setting}")
            print(f"| {what} | {' | '.join(measured(mounts))} |", flush=True)


if __name__ == "__main__":
    main()
