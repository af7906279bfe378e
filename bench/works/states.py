"""Work 1: snapshot, restore, branch and drop by the size of the tree and of the change."""

import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import Results, Row
from bench.peers.keepers import Keeper
from bench.trees import edit, some_files

CHANGES = (0, 1, 100)
ENOUGH_SECONDS = 2.0


def _repeat(step: Callable[[int], None], most: int) -> None:
    """Calls `step` up to `most` times, but no longer than a moment for peers that copy trees."""
    until = time.monotonic() + ENOUGH_SECONDS
    for index in range(most):
        step(index)
        if time.monotonic() > until:
            return


def measure(
    keeper: Keeper, base: Path, source: Path, files: int, results: Results, quick: bool
) -> None:
    """Adds samples of each operation on a tree of `files` files that `source` has."""
    most = 5 if quick else 100
    work = f"states of {files:,} files"
    keeper.start(base, source)
    try:
        for changed in CHANGES:
            _snapshots(keeper, changed, work, results, most)
        _copies(keeper, work, results, most)
    finally:
        keeper.end()


def _snapshots(keeper: Keeper, changed: int, work: str, results: Results, most: int) -> None:
    names = some_files(changed)
    text = f"{changed} changed" if changed else "unchanged"
    first = keeper.snapshot(keeper.root, f"first-{changed}")

    def step(index: int) -> None:
        edit(keeper.root, names)
        with results.time(Row(work, f"snapshot, {text}"), keeper.name):
            keeper.snapshot(keeper.root, f"{changed}-{index}")
        if changed:
            with results.time(Row(work, f"restore, {text}"), keeper.name):
                keeper.restore(keeper.root, first)

    _repeat(step, most)


def _copies(keeper: Keeper, work: str, results: Results, most: int) -> None:
    def step(index: int) -> None:
        with results.time(Row(work, "branch"), keeper.name):
            tree = keeper.branch(f"copy{index}")
        edit(tree, some_files(10))
        with results.time(Row(work, "drop, ten edited"), keeper.name):
            keeper.drop(f"copy{index}")

    _repeat(step, most)
