"""A process that stores what others store, again and again, and looks whether it is still there.

    python -m tests.support.chunk_writer STORE WORKSPACE ROUNDS

Each round is a life of its own: it opens the store, looks at what the last one left, writes files
from a small pool of contents (the same for every process, so that chunks are shared, abandoned and
wanted again all the time), seals them as a mount does, deletes its older snapshots, and ends.
Prints `ok`, or raises.
"""

import random
import sys
from pathlib import Path

from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import WorkspaceName
from tests.support.engine_rig import contents, noise, put, written

CONTENTS = 6
FILES = 4


def main(path: str, name: str, rounds: str) -> None:
    chance = random.Random(name)
    expected: dict[bytes, bytes] = {}
    for number in range(int(rounds)):
        store = Store.open(Path(path), create=False)
        try:
            expected = one_round(store, name, number, chance, expected)
        finally:
            store.close()
    sys.stdout.write("ok\n")


def one_round(
    store: Store, name: str, number: int, chance: random.Random, expected: dict[bytes, bytes]
) -> dict[bytes, bytes]:
    with written(store, name) as (workspace, branch):
        found = contents(branch)
        assert found == expected, (name, number, "what was written last time is not there")
        for index in range(FILES):
            which = chance.randrange(CONTENTS)
            put(branch, b"f%d" % index, content(which))
        expected = contents(branch)
        taken = workspace.snapshot(branch, name=f"round-{number}" if number % 3 == 0 else None)
        segments = store.layers.segments(branch.position.layer)
    seal(store, segments)
    if number % 2:
        seal_snapshots(store, WorkspaceName(name), [taken.snapshot.id])
    forget_older(store, name, keep=str(taken.snapshot.id))
    return expected


def content(which: int) -> bytes:
    """Returns one of the pool: two each differ by a byte; one is sealed as parts of the other."""
    common = noise(90_000, f"content {which // 2}")
    return common[:40_000] + b"%d" % which + common[40_000:]


def forget_older(store: Store, name: str, *, keep: str) -> None:
    workspace = Workspace(store, WorkspaceName(name))
    try:
        for snapshot in workspace.refs.ordered()[:-2]:
            if snapshot.id != keep:
                try:
                    workspace.delete_snapshot(snapshot.id)
                except NotFoundError:
                    # The collector was first.
                    continue
    finally:
        workspace.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
