"""Trees of files to work on: small texts that differ, two hundred a directory."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

PER_DIRECTORY = 200


def make_tree(directory: Path, count: int) -> None:
    """Fills a new directory with `count` files of about 1 KB."""
    directory.mkdir(parents=True)
    for index in range(count):
        if index % PER_DIRECTORY == 0:
            (directory / f"d{index // PER_DIRECTORY}").mkdir()
        path = f"{directory}/d{index // PER_DIRECTORY}/f{index}.txt"
        with open(path, "wb") as file:
            file.write(b"line of file %d\n" % index * 50)


def some_files(count: int) -> list[str]:
    """Returns the relative names of `count` files that every tree of `make_tree` has."""
    return [f"d0/f{index}.txt" for index in range(count)]


def edit(directory: Path, names: Sequence[str]) -> None:
    """Changes the beginning of each file, in place, to something it never was."""
    for name in names:
        descriptor = os.open(directory / name, os.O_WRONLY)
        os.pwrite(descriptor, b"%020d\n" % time.perf_counter_ns(), 0)
        os.close(descriptor)
