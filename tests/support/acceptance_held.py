"""A writer that never closes its file, on a mount with the kernel's writeback cache.

    python -m tests.support.acceptance_held MOUNT BRANCH JOURNAL SEED

Writes numbered blocks through one descriptor and takes snapshots, which have to flush it first. The
journal, outside, has JSON lines: `["write", slot, number]` before a write, `["snapshot"]` before
and `["taken", id]` after a snapshot. `Held` folds them and says what has to be there.
"""

import json
import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.acceptance_writer import is_dead

SLOTS = 12
BLOCK_BYTES = 48 * 1024
_PAGE = 4096
NAME = "held"


def block(number: int, length: int = BLOCK_BYTES) -> bytes:
    """Returns the bytes of a numbered block: any page of it tells the number."""
    return number.to_bytes(8, "little") * (length // 8)


@dataclass
class Held:
    """What the file must hold.

    `flushed`: slot -> number, at the last snapshot that was answered or full rewrite; `later`: slot
    -> the numbers written since, each page of which may have arrived. `snapshots`: what each of
    them holds.
    """

    flushed: dict[int, int] = field(default_factory=dict)
    later: dict[int, list[int]] = field(default_factory=dict)
    snapshots: dict[str, dict[int, int]] = field(default_factory=dict)
    numbers: int = 0

    def replay(self, journal: Path) -> int:
        """Goes on with what a writer did; returns how many snapshots were answered."""
        taken = 0
        for line in journal.read_text().splitlines() if journal.exists() else ():
            what, *values = json.loads(line)
            if what == "write":
                slot, number = values
                self.numbers = max(self.numbers, number)
                self.later.setdefault(slot, []).append(number)
            elif what in ("taken", "closed"):
                self.flushed.update({slot: found[-1] for slot, found in self.later.items()})
                self.later.clear()
                if what == "taken":
                    taken += 1
                    self.snapshots[values[0]] = dict(self.flushed)
        return taken

    def wrong_in_snapshot(self, snapshot: str, found: bytes) -> str:
        """Returns what is wrong with a snapshot's file; empty if nothing."""
        wanted = self.snapshots[snapshot]
        return _wrong(found, {slot: {number} for slot, number in wanted.items()})

    def wrong_now(self, found: bytes) -> str:
        """Returns what is wrong with the present file; empty if nothing."""
        allowed = {
            slot: {self.flushed.get(slot, 0), *self.later.get(slot, ())} for slot in range(SLOTS)
        }
        return _wrong(found, allowed)


def _wrong(found: bytes, allowed: dict[int, set[int]]) -> str:
    for start in range(0, len(found), _PAGE):
        page, slot = found[start : start + _PAGE], start // BLOCK_BYTES
        if not any(page == block(number, _PAGE)[: len(page)] for number in allowed.get(slot, {0})):
            return f"byte {start} is of {page[:8]!r}, not of {sorted(allowed.get(slot, {0}))}"
    beyond = [slot for slot in allowed if slot * BLOCK_BYTES >= len(found)]
    missing = [slot for slot in beyond if 0 not in allowed[slot]]
    return f"slots {missing} are missing" if missing else ""


def main(mount: str, branch: str, path: str, seed: str, first: str) -> int:
    """Writes until the mount is dead; 0 then."""
    view, rng, number = Path(mount, ".pyi", "branches", branch), random.Random(seed), int(first)
    journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(*what: object) -> None:
        os.write(journal, json.dumps(what).encode() + b"\n")

    def write(slot: int) -> None:
        nonlocal number
        number += 1
        note("write", slot, number)
        os.pwrite(held, block(number), slot * BLOCK_BYTES)

    try:
        # All of it once, and closed, which waits for the data: whatever a crash mixed is gone.
        held = os.open(view / NAME, os.O_RDWR | os.O_CREAT, 0o644)
        for slot in range(SLOTS):
            write(slot)
        os.close(held)
        note("closed")
        held = os.open(view / NAME, os.O_RDWR)
        snapshot = os.open(view / ".pyi" / "snapshot", os.O_RDWR)
        sys.stdout.write("started\n")
        sys.stdout.flush()
        while True:
            for _ in range(rng.randint(1, 6)):
                write(rng.randrange(SLOTS))
            note("snapshot")
            note("taken", os.pread(snapshot, 200, 0).decode().split("\t")[0])
    except OSError as error:
        if is_dead(error, Path(mount)):
            return 0
        raise


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
