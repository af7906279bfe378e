"""What a collection and a check cost when there are thousands of snapshots.

    .venv/bin/python -m bench.many_snapshots [--snapshots 5000] [--files 4000] [--edits 20]

Makes them through a mount, so many files written anew between two, and prints the seconds of CPU
that `pyi-gc` and `pyi-fsck` take then. Everything lies below a temporary directory (in --dir).
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
DIRECTORY_FILES = 100


def make(tree: Path, snapshots: int, files: int, edits: int) -> None:
    """Makes the files, and the snapshots."""
    dice = random.Random(1)
    names = [tree / f"d{n // DIRECTORY_FILES}" / f"f{n % DIRECTORY_FILES}" for n in range(files)]
    for name in names:
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(dice.randbytes(600))
    control = os.open(tree / ".pyi" / "snapshot", os.O_RDONLY)
    for _ in range(snapshots):
        for _ in range(edits):
            dice.choice(names).write_bytes(dice.randbytes(dice.randrange(3000)))
        os.pread(control, 4096, 0)
    os.close(control)


def cpu_seconds(*words: object, store: Path) -> float:
    """Runs a program; returns what it took of a core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYI_STORE": str(store)}
    subprocess.run(
        [str(word) for word in words], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        prog="bench.many_snapshots", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--snapshots", type=int, default=5000)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--edits", type=int, default=20, help="files written between two")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where (/var/tmp)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyi-many-", dir=arguments.dir) as place:
        store, tree = Path(place) / "store", Path(place) / "tree"
        tree.mkdir()
        started = time.monotonic()
        cpu_seconds(BIN / "pyi-mount", "work", tree, store=store)
        try:
            make(tree, arguments.snapshots, arguments.files, arguments.edits)
        finally:
            cpu_seconds(BIN / "pyi-mount", "--unmount", tree, store=store)
        print(f"made in {time.monotonic() - started:.0f} s")
        for program in ("pyi-gc", "pyi-fsck"):
            print(f"{program}: {cpu_seconds(BIN / program, store=store):.1f} s of CPU")


if __name__ == "__main__":
    main()
