"""What the engine's own operations cost, without a mount, by size of tree.

    .venv/bin/python -m bench.engine [--files 200,200000,1000000] [--dir DIR]

A workspace of so many files under a base table, its journal on the disk; ten files edited before
each snapshot and each restore. Prints a markdown table: medians and 99th percentiles, us.
"""

import argparse
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from bench.basics import microseconds, summary
from bench.machine import look
from pyi_fs.cli.cycles import settle
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import ROOT_INODE, InodeNumber, WorkspaceName
from pyi_fs.model.mutation import Create

EDITS = 10
PER_DIRECTORY = 200
COUNT = 500


def _create(branch: Branch, parent: InodeNumber, name: bytes, mode: int) -> InodeNumber:
    number = branch.next_inode()
    branch.commit(Create(parent, name, number, mode, 0, 0, time.time_ns()))
    return number


def measured(store: Store, name: str, files: int) -> dict[str, dict[str, float]]:
    """Returns median and 99th percentile of each operation."""
    create_workspace(store, name)
    workspace = Workspace(store, WorkspaceName(name))
    branch = workspace.open_branch("main")
    edited = _filled(store, branch, files)
    for number in edited:
        branch.write(number, 0, b"first", time.time_ns())
    first = workspace.snapshot(branch).snapshot.id

    def edit() -> None:
        for number in edited:
            branch.write(number, 0, b"%d" % time.perf_counter_ns(), time.time_ns())

    def after_edits(operation: Callable[[], object]) -> list[float]:
        taken = []
        for _ in range(COUNT):
            edit()
            taken += microseconds(operation, 1)
        return sorted(taken)

    def restored_clean() -> list[float]:
        taken = []
        for _ in range(COUNT):
            edit()
            workspace.snapshot(branch)
            taken += microseconds(lambda: workspace.restore(branch, first), 1)
        return sorted(taken)

    names = count()
    found = {
        "snapshot, unchanged": microseconds(lambda: workspace.snapshot(branch), COUNT),
        "snapshot of ten edits": after_edits(lambda: workspace.snapshot(branch)),
        "restore of ten edits": restored_clean(),
        "branch": microseconds(lambda: workspace.make_branch(f"b{next(names)}", branch), COUNT),
    }
    names = count()
    found["drop"] = microseconds(lambda: workspace.drop_branch(f"b{next(names)}"), COUNT)
    workspace.close()
    return {what: summary(taken) for what, taken in found.items()}


def _filled(store: Store, branch: Branch, files: int) -> list[InodeNumber]:
    numbers: list[InodeNumber] = []
    directory = ROOT_INODE
    for index in range(files):
        if index % PER_DIRECTORY == 0:
            directory = _create(branch, ROOT_INODE, b"d%d" % index, stat.S_IFDIR | 0o755)
        numbers.append(_create(branch, directory, b"f%d" % index, stat.S_IFREG | 0o644))
    position, frozen = branch.roll()
    branch.sync()
    write_base(store, branch.position.layer, position)
    base = store.layers.base(branch.position.layer)
    assert base is not None
    branch.rebase(frozen, base)
    return numbers[:EDITS]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", default="200,200000,1000000", help="sizes of the trees")
    parser.add_argument("--dir", default="/var/tmp", help="where the temporary directory goes")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.files.split(",")]
    base = Path(tempfile.mkdtemp(prefix="pyi-engine.", dir=arguments.dir))
    line = look(base).line()
    found = {}
    try:
        store = Store.open(base / "store")
        # As a mount does when it begins to serve.
        settle()
        for size in sizes:
            found[size] = measured(store, f"w{size}", size)
        store.close()
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(line, "\n")
    print("us | " + " | ".join(f"{size:,} files" for size in sizes))
    print("---|" * (len(sizes) + 1))
    for what in found[sizes[0]]:
        cells = [
            f"{found[size][what]['p50']:.1f} ({found[size][what]['p99']:.0f})" for size in sizes
        ]
        print(f"{what} | " + " | ".join(cells))


if __name__ == "__main__":
    main()
