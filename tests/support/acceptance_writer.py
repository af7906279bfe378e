"""One writer of the crash test: acts on one branch, notes outside what it does and what was done.

    python -m tests.support.acceptance_writer MOUNT BRANCH LEDGER JOURNAL SEED [RESTORES]

RESTORES: how much oftener than usual it restores and undoes. Starts from a pickled `Ledger`. The
journal is JSON lines, written before (`["do", operation]`) and after (`["done", answer]`) each
operation; `Ledger.replay` reads them and then knows what must be there. Ends well when the mount
dies under it.
"""

import contextlib
import errno
import json
import os
import pickle
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.acceptance_model import (
    Model,
    Operation,
    difference,
    digest,
    next_operation,
    outcome,
    perform,
    states,
)

# What a process gets on a mount whose server was killed, in a call and on the next one.
DEAD = {errno.ENOTCONN, errno.ECONNABORTED}
WEIGHTS = {
    "create": 14, "append": 14, "pwrite": 14, "rewrite": 4, "truncate": 5, "rename": 6, "link": 4,
    "unlink": 6, "fsync": 2, "snapshot": 14, "restore": 4, "undo": 2, "branch": 3, "drop": 2,
}  # fmt: skip
SNAPSHOTS_KEPT = 12
BRANCHES_MAX = 6
CONTROL = {"snapshot", "restore", "undo", "branch", "drop"}


@dataclass
class Ledger:
    """What the journal of a writer says: the state of its branch, and of all it keeps.

    `allowed`: what the branch may hold; one model, or several if the last operation was cut off.
    `snapshots`: what the newest hold; `digests`: that of each one there ever was. `branches`: those
    it made; `maybe`: one whose making or dropping was cut off.
    """

    allowed: list[Model] = field(default_factory=lambda: [Model()])
    snapshots: dict[str, Model] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    branches: dict[str, Model] = field(default_factory=dict)
    maybe: str | None = None
    cut_off: Operation | None = None
    before_restore: Model | None = None
    operations: int = 0

    @property
    def model(self) -> Model:
        """Returns the state; only when nothing is cut off."""
        assert len(self.allowed) == 1, "BUG: an operation is open"
        return self.allowed[0]

    def begin(self, operation: Operation) -> None:
        """An operation was about to be made."""
        self.maybe, self.cut_off = None, None
        kind, *arguments = operation
        old = self.model
        if kind in ("restore", "undo"):
            new = self.snapshots[arguments[0]] if kind == "restore" else self.before_restore
            assert new is not None, "BUG: an undo without a restore"
            # Numbers of files only have to be unused.
            new = Model(dict(new.names), dict(new.data), max(new.made, old.made))
            self.allowed = [old, new]
        elif kind in ("branch", "drop"):
            self.maybe = arguments[0]
        elif kind != "snapshot":
            self.allowed = [old, outcome(operation, old)]
            self.cut_off = operation

    def end(self, operation: Operation, answer: str) -> None:
        """It was acknowledged."""
        self.operations += 1
        old = self.allowed[0]
        self.allowed = self.allowed[-1:]
        kind, *arguments = operation
        if kind == "snapshot":
            self.snapshots[answer] = self.model.copy()
            self.digests[answer] = digest(self.model.picture())
            for old_id in list(self.snapshots)[:-SNAPSHOTS_KEPT]:
                del self.snapshots[old_id]
        elif kind == "branch":
            self.branches[arguments[0]] = self.snapshots[arguments[1]].copy()
        elif kind == "drop":
            del self.branches[arguments[0]]
        self.before_restore = old if kind == "restore" else None
        self.maybe, self.cut_off = None, None

    def replay(self, journal: Path) -> None:
        """Goes on with what a writer did."""
        operation: Operation = []
        for line in journal.read_text().splitlines() if journal.exists() else ():
            what, value = json.loads(line)
            if what == "do":
                operation = value
                self.begin(operation)
            else:
                self.end(operation, value)

    def choose(self, found: dict[str, tuple[int, bytes]]) -> str:
        """Settles which of the allowed states is there; a text if none of them is."""
        if self.cut_off is not None:
            self.allowed[1:] = states(self.cut_off, self.allowed[0])
            self.cut_off = None
        wrong = difference(found, self.allowed)
        if not wrong:
            self.allowed = [model for model in self.allowed if model.picture() == found][:1]
        self.before_restore = None
        if self.maybe is not None:
            self.branches.pop(self.maybe, None)
            self.maybe = None
        return wrong


def is_dead(error: OSError, mount: Path) -> bool:
    """Returns whether that is how a call ends when the mount died, or was taken away."""
    if error.errno in DEAD:
        return True
    return error.errno == errno.ENOENT and not os.path.exists(mount / ".pyi")


def writer_loop(
    mount: Path,
    branch: str,
    journal: int,
    rng: random.Random,
    ledger: Ledger,
    weights: dict[str, int],
) -> None:
    """Acts until the mount is dead."""
    view = mount if branch == "main" else mount / ".pyi" / "branches" / branch
    for name in ("d0", "d1", "d2"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(view / name)
    snapshot = os.open(view / ".pyi" / "snapshot", os.O_RDWR)
    while True:
        operation = chosen(rng, ledger, branch, weights)
        _note(journal, ["do", operation])
        ledger.begin(operation)
        answer = ""
        if operation[0] == "snapshot":
            answer = os.pread(snapshot, 200, 0).decode().split("\t")[0]
        elif operation[0] in CONTROL:
            control(view, operation, branch)
        else:
            perform(str(view), operation)
        _note(journal, ["done", answer])
        ledger.end(operation, answer)


def chosen(rng: random.Random, ledger: Ledger, branch: str, weights: dict[str, int]) -> Operation:
    """Returns what to do next."""
    operation = next_operation(rng, ledger.model, weights)
    kind = operation[0]
    known = list(ledger.snapshots)
    if kind in ("restore", "branch") and not known:
        return ["snapshot"]
    if kind == "restore":
        return ["restore", rng.choice(known)]
    if kind == "branch" and len(ledger.branches) > BRANCHES_MAX:
        kind = "drop"
    if kind == "branch":
        name = f"b-{branch}-{rng.randrange(1 << 40):x}"
        return ["branch", name, rng.choice(known)]
    if kind == "drop":
        return ["drop", rng.choice(sorted(ledger.branches))] if ledger.branches else ["snapshot"]
    if kind == "undo":
        return ["undo"] if ledger.before_restore is not None else ["snapshot"]
    return operation if kind != "snapshot" else ["snapshot"]


def control(view: Path, operation: Operation, branch: str) -> None:
    """Writes a command of the view."""
    kind, *arguments = operation
    text = " ".join(arguments)
    if kind == "undo":
        text = str(_newest_restore(view, branch))
    descriptor = os.open(view / ".pyi" / kind, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _newest_restore(view: Path, branch: str) -> int:
    """Returns the operation to undo: others make branches meanwhile, so it has to be named."""
    with (view / ".pyi" / "log").open() as log:
        for line in log:
            entry = json.loads(line)
            if entry["operation"] == "restore" and entry["branch"] == branch:
                return int(entry["id"])
    raise AssertionError("BUG: no restore in the log")


def _note(journal: int, what: list[object]) -> None:
    os.write(journal, json.dumps(what).encode() + b"\n")


def main(
    mount: str, branch: str, ledger_path: str, path: str, seed: str, restores: str = "1"
) -> int:
    """Acts until the mount is dead; 0 then."""
    more = {kind: WEIGHTS[kind] * int(restores) for kind in ("restore", "undo")}
    ledger: Ledger = pickle.loads(Path(ledger_path).read_bytes())
    journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    try:
        writer_loop(Path(mount), branch, journal, random.Random(seed), ledger, {**WEIGHTS, **more})
    except OSError as error:
        if is_dead(error, Path(mount)):
            return 0
        raise
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
