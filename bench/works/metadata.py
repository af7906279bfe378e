"""Work 2: small operations on names and small files, by one client and by four."""

import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from bench.measure import Results, Row, stopwatch

WORK = "metadata"
FOUR = "metadata, four clients"
BLOCK = os.urandom(4096)


def _create(path: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
    os.write(descriptor, BLOCK)
    os.close(descriptor)


def _read(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.read(descriptor, 4096)
    os.close(descriptor)


def _overwrite(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, BLOCK)
    os.close(descriptor)


def _append(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"a line of a log, as tools write them\n")
    os.close(descriptor)


def _rename(path: str) -> None:
    os.rename(path, path + "r")


def _unlink(path: str) -> None:
    os.unlink(path + "r")


STEPS: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("create + write 4 KiB + close", _create, "f"),
    ("stat", os.stat, "f"),
    ("failing stat", os.path.exists, "absent"),
    ("open + read 4 KiB + close", _read, "f"),
    ("open + overwrite 4 KiB + close", _overwrite, "f"),
    ("open + append + close", _append, "f"),
    ("rename", _rename, "f"),
    ("unlink", _unlink, "f"),
    ("mkdir", os.mkdir, "d"),
)


def _in_turn(directory: Path, count: int) -> dict[str, float]:
    """Returns us per operation of one serial client in an empty directory."""
    found: dict[str, float] = {}
    for what, operation, prefix in STEPS:
        paths = [f"{directory}/{prefix}{index}" for index in range(count)]
        with stopwatch() as watch:
            for path in paths:
                operation(path)
        found[what] = watch.seconds * 1e6 / count
    return found


def _listings(directory: Path, entries: int) -> dict[str, float]:
    """Returns us for a listing of a directory of many entries: the first time, and again."""
    directory.mkdir()
    for index in range(entries):
        os.close(os.open(f"{directory}/name{index}", os.O_CREAT | os.O_WRONLY, 0o644))
    found: dict[str, float] = {}
    for what in (f"readdir of {entries:,}, first", f"readdir of {entries:,}, again"):
        with stopwatch() as watch:
            os.listdir(directory)
        found[what] = watch.seconds * 1e6
    return found


def measure(place: Path, peer: str, results: Results, quick: bool) -> None:
    """Adds one sample of each operation."""
    work = place / "metadata"
    work.mkdir()
    count, entries = (200, 1000) if quick else (2000, 10_000)
    for what, value in _in_turn(work, count).items():
        results.add(Row(WORK, what), peer, value)
    for what, value in _listings(work / "many", entries).items():
        results.add(Row(WORK, what), peer, value)
    shutil.rmtree(work)


def measure_four(place: Path, peer: str, results: Results, quick: bool) -> None:
    """Adds us per operation and client of four clients at once, each in its own directory."""
    count = 100 if quick else 1000
    context = multiprocessing.get_context("spawn")
    directories = [place / f"client{index}" for index in range(4)]
    for directory in directories:
        directory.mkdir()
    with context.Pool(4) as pool:
        pool.map(os.path.exists, ["/"] * 4)  # all four have started
        for found in pool.starmap(_in_turn, [(directory, count) for directory in directories]):
            for what, value in found.items():
                results.add(Row(FOUR, what), peer, value)
    for directory in directories:
        shutil.rmtree(directory)
