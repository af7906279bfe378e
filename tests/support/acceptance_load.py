"""Programs that use a mount while a test looks: `python -m tests.support.acceptance_load NAME ...`.

Those that go on for ever end when their standard input does, which is also when the test dies.
"""

import itertools
import json
import os
import select
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from tests.support.settings import apply_settings


def check(path: str, settings: str = "{}") -> int:
    """Looks for damage in a store, every byte included, and recovers every branch."""
    apply_settings(json.loads(settings))
    wrong = [
        finding
        for finding in check_directory(Path(path), verify_data=True)
        if finding.severity != "note"
    ]
    for finding in wrong:
        say(finding)
    with closing(Store.open(Path(path), create=False)) as store:
        for name in store.workspace_names():
            with closing(Workspace(store, name)) as workspace:
                for branch in workspace.refresh().branch_names():
                    workspace.open_branch(branch)
    return 1 if wrong else 0


def say(what: object) -> None:
    """Writes a line for the test."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def is_over() -> bool:
    """Returns whether the test wants this program to end."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def turns(directory: str) -> int:
    """Writes numbers to two files in turn, `a` first, and to a log; says how many."""
    a, b, log = (
        os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT, 0o644)
        for name in ("a", "b", "log")
    )
    for number in itertools.count():
        record = b"%15d\n" % number
        os.pwrite(a, record, 0)
        os.pwrite(b, record, 0)
        os.write(log, record)
        if number == 0:
            say("started")
        if number % 64 == 0 and is_over():
            break
    say(number)
    return 0


def rewriter(path: str, size: str, times: str, block: str = "1048576") -> int:
    """Writes a file from its start again and again; for ever if `times` is 0. Says how often."""
    blocks = [os.urandom(int(block)) for _ in range(4)]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for number in itertools.count(1):
        for position in range(int(size) // int(block)):
            data = blocks[(number + position) % len(blocks)]
            os.pwrite(descriptor, data, position * int(block))
            if not int(times) and is_over():
                say(number)
                return 0
        if number == int(times):
            break
    say(number)
    return 0


def rows(path: str, writer: str, count: str) -> int:
    """Inserts rows into a WAL database, one a transaction."""
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        for number in range(int(count)):
            with database:
                database.execute("INSERT INTO t VALUES (?, ?)", (int(writer), number))
    return 0


def edits(directory: str, seed: str, count: str) -> int:
    """Changes a tree in a way that only the seed decides: files, directories, renames, links."""
    top = Path(directory) / f"work{seed}"
    top.mkdir()
    for number in range(int(count)):
        path = top / f"{number % 17}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((f"{seed}:{number}\n" * (1 + number * 31 % 400)).encode())
        if number % 3 == 1:
            path.rename(top / f"moved{number}")
        if number % 5 == 2 and path.exists():
            os.link(path, top / f"linked{number}")
        if number % 7 == 3 and path.exists():
            path.unlink()
    shared = Path(directory) / "shared"
    shared.write_bytes(shared.read_bytes() + f"by {seed}\n".encode())
    return 0


PROGRAMS: dict[str, Callable[..., int]] = {
    "check": check,
    "turns": turns,
    "rewriter": rewriter,
    "rows": rows,
    "edits": edits,
}

if __name__ == "__main__":
    sys.exit(PROGRAMS[sys.argv[1]](*sys.argv[2:]))
