"""What a mount grows by in an hour of what agents do: files come and go, states are made and left.

    .venv/bin/python -m bench.churn [--minutes 60] [--rows 12] [--rate 100] [--dir DIR]

So many rounds a second; a round makes, overwrites, appends to, renames or removes files, and now
and then lists a directory, takes a snapshot, goes back to one, or edits a branch and drops it.
Prints a markdown table: private dirty memory of the process that serves the mount, its descriptors,
what the store has on the disk and in how many files, and what was done so far.
"""

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.machine import look
from bench.trees import make_tree, some_files
from bench.works.memory import Mounts, memory_of

FILES = 20_000
DIRECTORIES = 50
NAMES = 200
"""In each of the directories that come and go."""


class Agent:
    """Works in a mounted tree, by dice."""

    def __init__(self, tree: Path, seed: int = 1) -> None:
        """Begins with the directories that its files will be in."""
        self._tree = tree
        self._dice = random.Random(seed)
        self._states: list[str] = []
        self.rounds = self.snapshots = self.restores = self.branches = 0
        for index in range(DIRECTORIES):
            (tree / "churn" / f"d{index}").mkdir(parents=True, exist_ok=True)

    def round(self) -> None:
        """Does one round."""
        self.rounds += 1
        self._edit(self._tree)
        if self.rounds % 50 == 0:
            os.listdir(self._tree / "churn" / f"d{self._dice.randrange(DIRECTORIES)}")
            self._states.append((self._tree / ".pyi/snapshot").read_text().split()[0])
            self.snapshots += 1
        if self.rounds % 500 == 0:
            (self._tree / ".pyi/restore").write_text(self._dice.choice(self._states[-20:]))
            del self._states[:-20]
            self.restores += 1
        if self.rounds % 200 == 0:
            self._experiment(f"x{self.rounds}")

    def _edit(self, tree: Path) -> None:
        """Changes one file, which may not be there."""
        dice = self._dice
        directory = tree / "churn" / f"d{dice.randrange(DIRECTORIES)}"
        path = directory / f"f{dice.randrange(NAMES)}"
        match dice.randrange(6):
            case 0:
                path.unlink(missing_ok=True)
            case 1 if path.exists():
                path.rename(directory / f"f{dice.randrange(NAMES)}")
            case 2:
                with path.open("ab") as file:
                    file.write(dice.randbytes(100))
            case 3:
                name = some_files(NAMES)[dice.randrange(NAMES)]
                (tree / name).write_bytes(dice.randbytes(dice.randrange(20_000)))
            case _:
                path.write_bytes(dice.randbytes(dice.randrange(20_000)))

    def _experiment(self, name: str) -> None:
        """Edits a branch, looks at some of it and drops it."""
        (self._tree / ".pyi/branch").write_text(name)
        for _ in range(20):
            self._edit(self._tree / ".pyi/branches" / name)
        (self._tree / ".pyi/drop").write_text(name)
        self.branches += 1


def row(minutes: float, process: int, store: Path, agent: Agent) -> str:
    """Returns a line of the table."""
    blocks, names = (
        subprocess.run(
            ["du", "-s", "--block-size=1M", store], check=True, capture_output=True, text=True
        ).stdout.split()[0],
        sum(len(files) for _, _, files in os.walk(store)),
    )
    cells = [
        f"{minutes:.0f}",
        f"{memory_of(process)['Private_Dirty']:.1f}",
        f"{len(os.listdir(f'/proc/{process}/fd'))}",
        f"{int(blocks):,}",
        f"{names:,}",
        f"{agent.rounds:,}",
        f"{agent.snapshots:,}",
        f"{agent.restores:,}",
        f"{agent.branches:,}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Mounts, works and prints."""
    parser = argparse.ArgumentParser(prog="bench.churn")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--rate", type=float, default=100, help="rounds a second")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="pyi-churn-", dir=arguments.dir))
    mounts = Mounts(base)
    print(f"{look(base).line()}\n", flush=True)
    heads = ["minutes", "Private_Dirty, MB", "descriptors", "store, MiB", "files of the store"]
    heads += ["rounds", "snapshots", "restores", "branches"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    try:
        make_tree(base / "source", FILES)
        tree = mounts.mount("work", "--from", f"{base / 'source'}/")
        process, agent = mounts.process(tree), Agent(tree)
        begun = time.monotonic()
        print(row(0, process, mounts.store, agent), flush=True)
        for number in range(1, arguments.rows + 1):
            until = begun + number * 60 * arguments.minutes / arguments.rows
            while (now := time.monotonic()) < until:
                agent.round()
                time.sleep(max(0.0, begun + agent.rounds / arguments.rate - now))
            print(row((now - begun) / 60, process, mounts.store, agent), flush=True)
    finally:
        mounts.end()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
