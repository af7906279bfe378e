"""Work 5: the agent loop: fork, edit ten, run a command, snapshot, roll back, read; then drop."""

import multiprocessing
import subprocess
import time
from pathlib import Path

from bench.measure import Results, Row, stopwatch
from bench.peers.keepers import (
    Copies,
    Git,
    Keeper,
    Ours,
    OursForks,
    OverlayMounts,
    Subvolumes,
)
from bench.trees import edit, some_files

CHANGED = some_files(10)
# Who copies trees is not asked for a larger crowd once one took so long: fifty copies of 20,000
# files, four times each, are millions of files.
ENOUGH_SECONDS = 60.0


def loops() -> list[Keeper]:
    """Returns the contestants: ours as branches of one mount and as mounts of their own, first."""
    branches = Ours()
    branches.name = "pyi-fs, branches"
    return [branches, OursForks(), Subvolumes(), OverlayMounts(), Git(), Copies()]


def one_agent(keeper: Keeper, name: str) -> None:
    """Is one agent; raises `RuntimeError` if what was rolled back is not what it was."""
    tree = keeper.branch(name)
    before = [(tree / path).read_bytes() for path in CHANGED]
    kept = keeper.snapshot(tree, "before")
    edit(tree, CHANGED)
    subprocess.run(
        ["sh", "-c", "cat d0/* | cksum"], cwd=tree, check=True, stdout=subprocess.DEVNULL
    )
    keeper.snapshot(tree, "after")
    keeper.restore(tree, kept)
    if [(tree / path).read_bytes() for path in CHANGED] != before:
        raise RuntimeError(f"{keeper.name}: {name} reads something else after rolling back")


def measure(keeper: Keeper, base: Path, source: Path, results: Results, quick: bool) -> None:
    """Adds ms per agent with 1, 10 and 50 at once, and ms per drop."""
    crowds = (1, 4) if quick else (1, 10, 50)
    repeats = 1 if quick else 3
    keeper.start(base, source)
    try:
        context = multiprocessing.get_context("spawn")
        for place, crowd in enumerate(crowds):
            with context.Pool(crowd) as pool, stopwatch() as watch:
                pool.map(abs, range(crowd), chunksize=1)  # all have started
                until = time.monotonic() + ENOUGH_SECONDS
                for again in range(repeats):
                    if time.monotonic() > until:
                        break
                    names = [f"agent-{crowd}-{again}-{index}" for index in range(crowd)]
                    row = Row("agent loop", f"{crowd} at once, per agent", "ms")
                    with results.time(row, keeper.name, per=crowd):
                        pool.starmap(one_agent, [(keeper, name) for name in names], chunksize=1)
                    row = Row("agent loop", f"drop of {crowd}, each", "ms")
                    with results.time(row, keeper.name, per=crowd):
                        for name in names:
                            keeper.drop(name)
            if watch.seconds > ENOUGH_SECONDS and place + 1 < len(crowds):
                took = f"{crowd} at once took {watch.seconds:.0f} s"
                results.skip(f"agent loop on {keeper.name}, {crowds[place + 1]} at once: {took}")
                break
    finally:
        keeper.end()
