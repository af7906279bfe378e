"""Work 5, as an experiment: one agent script, on ext4 with git's verbs and on a mount with `.pyi`.

Both arms do the same trials in turn: edit, keep the state, try something, go back or keep it. What
is compared is whole trials; the report gives the effect with its confidence interval.
"""

import random
import resource
import subprocess
import time
from pathlib import Path

from bench.measure import Results, Row, cliffs_delta, ratio_interval
from bench.peers.keepers import Git, Keeper, OursCommands
from bench.trees import edit, make_tree, some_files

WORK = "agent experiment"
ROW = Row(WORK, "trials per second", "1/s", more_is_better=True)
TIME = Row(WORK, "one trial", "ms")


def _trial(keeper: Keeper, draw: random.Random, kept: str, index: int) -> tuple[str, bool]:
    """Does one trial; returns the state to go back to next time, and whether all was right."""
    names = draw.sample(some_files(200), 10)
    before = {name: (keeper.root / name).read_bytes() for name in names}
    edit(keeper.root, names)
    made = keeper.root / f"made{index}.txt"
    made.write_text("new\n" * 100)
    subprocess.run(
        ["sh", "-c", "grep -c line d0/*.txt | tail -1"],
        cwd=keeper.root,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    now = keeper.snapshot(keeper.root, f"trial{index}")
    if index % 10 == 0:
        return now, made.exists()
    keeper.restore(keeper.root, kept)
    right = all((keeper.root / name).read_bytes() == content for name, content in before.items())
    return kept, right and not made.exists()


def measure(base: Path, results: Results, quick: bool) -> str:
    """Adds ms per trial of both arms, interleaved; returns the sentence with the effect."""
    trials, files = (10, 500) if quick else (200, 20_000)
    source = base / "source"
    make_tree(source, files)
    arms: list[Keeper] = [OursCommands(), Git()]
    arms[0].name, arms[1].name = "pyi-fs", "git on ext4"
    draws = [random.Random(4), random.Random(4)]
    kept, failures = [], [0, 0]
    try:
        for number, arm in enumerate(arms):
            (base / f"arm{number}").mkdir()
            arm.start(base / f"arm{number}", source)
            kept.append(arm.snapshot(arm.root, "start"))
        for index in range(trials):
            for number in (0, 1) if index % 2 else (1, 0):
                arm = arms[number]
                start = time.perf_counter()
                kept[number], right = _trial(arm, draws[number], kept[number], index)
                results.add(TIME, arm.name, (time.perf_counter() - start) * 1e3)
                failures[number] += not right
    finally:
        for arm in arms:
            if hasattr(arm, "root"):
                arm.end()
    return _sentence(results, failures, trials)


def _sentence(results: Results, failures: list[int], trials: int) -> str:
    ours, theirs = (results.samples[TIME][name] for name in ("pyi-fs", "git on ext4"))
    ratio, low, high = ratio_interval(ours, theirs)
    delta = cliffs_delta(ours, theirs)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return (
        f"{trials} trials of each arm, interleaved: git on ext4 takes {ratio:.2f} times as long a"
        f" trial (95 % bootstrap interval of the ratio of medians {low:.2f} to {high:.2f}; Cliff's"
        f" delta {delta:+.2f}). Wrong results: pyi-fs {failures[0]}, git {failures[1]}. Largest"
        f" process started by either: {largest:.0f} MiB."
    )
