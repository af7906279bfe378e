"""Work 3: bytes in and out of large files."""

import json
import mmap
import os
import shutil
import subprocess
from pathlib import Path

from bench.measure import Results, Row, stopwatch

WORK = "data"

# name, fio's rw, block size, other options
JOBS = (
    ("sequential write 4 KiB", "write", "4k", ()),
    ("sequential write 64 KiB", "write", "64k", ()),
    ("sequential write 1 MiB", "write", "1m", ()),
    ("sequential read 1 MiB", "read", "1m", ()),
    ("sequential read 4 KiB", "read", "4k", ()),
    ("random read 4 KiB", "randread", "4k", ()),
    ("random write 4 KiB", "randwrite", "4k", ()),
    ("random write 4 KiB, fsync every 16th", "randwrite", "4k", ("--fsync=16",)),
)


def _fio(directory: Path, rw: str, size: str, block: str, more: tuple[str, ...]) -> float:
    """Returns MB/s of one fio job with one buffered serial client."""
    words = ["fio", "--name=job", f"--directory={directory}", "--filename=data", f"--rw={rw}"]
    words += [f"--bs={block}", f"--size={size}", "--ioengine=psync", "--output-format=json"]
    words += ["--fallocate=none", "--randseed=1", "--refill_buffers", *more]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    job = json.loads(found.stdout[found.stdout.index("{") :])["jobs"][0]
    return float(max(job["read"]["bw_bytes"], job["write"]["bw_bytes"])) / 1e6


def _small_appends(path: Path, count: int) -> float:
    """Returns us per line of a writer that appends 100-byte lines, unbuffered."""
    with path.open("ab", buffering=0) as file, stopwatch() as watch:
        for _ in range(count):
            file.write(b"x" * 99 + b"\n")
    return watch.seconds * 1e6 / count


def _mapped(path: Path, megabytes: int) -> float:
    """Returns MB/s of filling a file through a shared mapping, written back at the end."""
    size, page = megabytes << 20, os.urandom(1 << 16)
    with path.open("w+b") as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), size) as view, stopwatch() as watch:
            for offset in range(0, size, len(page)):
                view[offset : offset + len(page)] = page
            view.flush()
    return size / 1e6 / watch.seconds


def measure(place: Path, peer: str, results: Results, quick: bool) -> None:
    """Adds one sample of each kind of transfer."""
    work = place / "data"
    work.mkdir()
    megabytes = 16 if quick else 128
    if shutil.which("fio"):
        for what, rw, block, more in JOBS:
            size = f"{min(megabytes, 32) if 'rand' in rw else megabytes}m"
            speed = _fio(work, rw, size, block, more)
            results.add(Row(WORK, what, "MB/s", more_is_better=True), peer, speed)
    else:
        results.skip("fio is not installed: transfers by block size")
    lines = 2000 if quick else 20_000
    row = Row(WORK, "append a line of 100 bytes")
    results.add(row, peer, _small_appends(work / "log", lines))
    row = Row(WORK, "fill a shared mapping", "MB/s", more_is_better=True)
    results.add(row, peer, _mapped(work / "mapped", megabytes))
    shutil.rmtree(work)
