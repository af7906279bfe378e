"""Work 1, while something else happens: snapshot, restore, branch and drop on open descriptors.

And the same made durable, beside one `fdatasync` of the disk below. The columns are circumstances,
not peers: the first is a mount that has nothing else to do.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Results, Row
from bench.peers import OURS
from bench.peers.keepers import OursDescriptor
from bench.trees import edit, some_files

WORK = "beside other work"
WRITTEN_BYTES = 100 << 20
# 200 MB/s: 1 MiB, then a rest, over and over the same 256 MiB.
WRITER = """
import os, sys, time
descriptor, block, start = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), os.urandom(1 << 20), time.monotonic()
for index in range(1 << 30):
    os.pwrite(descriptor, block, index % 256 << 20)
    time.sleep(max(0, start + (index + 1) * (1 << 20) / 200e6 - time.monotonic()))
"""  # noqa: E501

Before = Callable[[], object]


@contextmanager
def _nothing(_: Path) -> Iterator[Before]:
    yield lambda: None


@contextmanager
def _log(root: Path) -> Iterator[Before]:
    descriptor = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        yield lambda: os.write(descriptor, b"a line of the log\n")
    finally:
        os.close(descriptor)


@contextmanager
def _written(root: Path) -> Iterator[Before]:
    block = os.urandom(1 << 20)
    with (root / "written").open("wb", buffering=0) as file:
        for _ in range(WRITTEN_BYTES >> 20):
            file.write(block)
    yield lambda: None


@contextmanager
def _writer(root: Path) -> Iterator[Before]:
    with subprocess.Popen([sys.executable, "-c", WRITER, root / "big"]) as writer:
        try:
            while not (root / "big").exists() or (root / "big").stat().st_size < 1 << 24:
                time.sleep(0.01)
            yield lambda: None
        finally:
            writer.kill()


CIRCUMSTANCES = {
    OURS: _nothing,
    f"{OURS}, a log open": _log,
    f"{OURS}, 100 MB just written": _written,
    f"{OURS}, beside 200 MB/s": _writer,
}


def measure(base: Path, source: Path, results: Results, quick: bool) -> None:
    """Adds the median and the 99th percentile of each operation in each circumstance, in us."""
    count = 5 if quick else 300
    for name, circumstance in CIRCUMSTANCES.items():
        keeper = OursDescriptor()
        room = base / name.replace(",", "").replace(" ", "-").replace("/", "-")
        room.mkdir()
        keeper.start(room, source)
        try:
            with circumstance(keeper.root) as before:
                _operations(keeper, before, name, count, results)
            if name == OURS:
                _durable(keeper, base / "below", count, results)
        finally:
            keeper.end()


def _operations(
    keeper: OursDescriptor, before: Before, name: str, count: int, results: Results
) -> None:
    names, taken = some_files(10), dict[str, list[float]]()

    def timed(what: str, call: Before) -> None:
        start = time.perf_counter()
        call()
        taken.setdefault(what, []).append((time.perf_counter() - start) * 1e6)

    first = keeper.snapshot(keeper.root, "first")
    for index in range(count):
        edit(keeper.root, names)
        before()
        timed("snapshot of ten edits", lambda: keeper.snapshot(keeper.root, ""))
        timed("restore of ten edits", lambda: keeper.restore(keeper.root, first))
        timed("branch", lambda tag=f"b{index}": keeper.branch(tag))  # type: ignore[misc]
        edit(keeper.root / ".pyi/branches" / f"b{index}", names)
        timed("drop", lambda tag=f"b{index}": keeper.drop(tag))  # type: ignore[misc]
    for what, samples in taken.items():
        for sample in samples:
            results.add(Row(WORK, what), name, sample)
        results.add(Row(WORK, f"{what}, 99th percentile"), name, sorted(samples)[-1 - count // 100])


def _durable(keeper: OursDescriptor, below: Path, count: int, results: Results) -> None:
    """Ten edits, a snapshot and `fsync` of it; and 4 KiB and `fdatasync` below."""
    row = Row(WORK, "made durable")
    snapshot = os.open(keeper.root / ".pyi/snapshot", os.O_RDWR)
    file = os.open(below, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    block = bytes(4096)
    try:
        for _ in range(count):
            edit(keeper.root, some_files(10))
            with results.time(row, OURS):
                os.pread(snapshot, 4096, 0)
                os.fsync(snapshot)
            with results.time(row, "4 KiB and fdatasync below"):
                os.write(file, block)
                os.fdatasync(file)
    finally:
        os.close(snapshot)
        os.close(file)
