"""Work 7: private and proportional memory of mount processes (`smaps_rollup`, proc(5))."""

import json
import os
import shutil
import time
from pathlib import Path

from bench.measure import Results, Row
from bench.peers.base import BIN, run
from bench.trees import edit, make_tree, some_files

WORK = "memory"


def memory_of(process: int) -> dict[str, float]:
    """Returns MB by field of `smaps_rollup`."""
    found = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0]) * 1024 / 1e6
    return found


class Mounts:
    """Mounts of one store, to be looked at."""

    def __init__(self, base: Path) -> None:
        self.base, self.store = base, base / "store"
        self.trees: list[Path] = []

    def mount(self, name: str, *options: str) -> Path:
        tree = self.base / f"tree-{name}"
        tree.mkdir()
        run([BIN / "pyi-mount", "--store", self.store, *options, name, tree])
        self.trees.append(tree)
        return tree

    def process(self, tree: Path) -> int:
        """Returns the process that serves a mountpoint; what mounts say is in `mounts/`."""
        for path in (self.store / "mounts").iterdir():
            mount = json.loads(path.read_text())
            if mount["mountpoint"] == str(tree):
                return int(mount["pid"])
        raise RuntimeError(f"nobody serves {tree}")

    def end(self) -> None:
        for tree in self.trees:
            run([BIN / "pyi-mount", "--unmount", tree])


def _walk(tree: Path) -> None:
    for directory, _, names in os.walk(tree):
        for name in names:
            os.stat(f"{directory}/{name}")


def measure(base: Path, results: Results, quick: bool) -> None:
    """Adds MB of private dirty memory in the states that matter, and of forks of one base."""
    files, forks, churn = (2000, 5, 2.0) if quick else (200_000, 50, 60.0)
    make_tree(base / "source", files)
    mounts = Mounts(base)

    def private(what: str, tree: Path, less: float = 0.0) -> float:
        value = memory_of(mounts.process(tree))["Private_Dirty"]
        results.add(Row(WORK, what, "MB"), "pyi-fs", value - less)
        return value

    try:
        tree = mounts.mount("work", "--from", f"{base / 'source'}/")
        run([BIN / "pyi-mount", "--unmount", mounts.trees.pop()])
        tree.rmdir()
        tree = mounts.mount("work")
        idle = private("idle mount, Private_Dirty", tree)
        _walk(tree)
        walked = private(f"more after walking {files:,} unchanged files", tree, idle)
        changed = min(files, 100_000)
        edit(tree, [f"d{index // 200}/f{index}.txt" for index in range(changed)])
        private(f"more after changing {changed:,} files", tree, walked)
        before = memory_of(mounts.process(tree))["Private_Dirty"]
        _churn(tree, churn)
        private(f"more after {churn:.0f} s of churn", tree, before)
        _forks(mounts, forks, results)
    finally:
        mounts.end()
        shutil.rmtree(base / "source")


def _churn(tree: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    directory = tree / "churn"
    directory.mkdir()
    count = 0
    while time.monotonic() < until:
        path = directory / f"f{count % 100}"
        path.write_bytes(b"%d" % count)
        if count % 3 == 0:
            path.unlink()
        if count % 1000 == 0:
            (tree / ".pyi/snapshot").read_text()
        count += 1
    shutil.rmtree(directory)


def _forks(mounts: Mounts, count: int, results: Results) -> None:
    trees = [mounts.mount(f"fork{index}", "--from", "work") for index in range(count)]
    for tree in trees:
        for name in some_files(200):
            (tree / name).read_bytes()
        edit(tree, some_files(10))
    for field in ("Private_Dirty", "Pss"):
        total = sum(memory_of(mounts.process(tree))[field] for tree in trees)
        results.add(
            Row(WORK, f"{count} forks of one base, each, {field}", "MB"), "pyi-fs", total / count
        )
