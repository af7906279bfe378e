"""Mounts deduplicate onto chunks that `pyi-gc` is collecting: the real command, real mounts.

Three workspaces of one store write files from a small pool of contents, so that what one of them
gives up another one wants again; their mounts seal all the time. Nothing they keep may be missing.
"""

import os
import random
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support import command_process
from tests.support.acceptance import PATIENCE_SECONDS, Served
from tests.support.acceptance_eager import EAGER, Collector
from tests.support.engine_rig import noise

pytestmark = [pytest.mark.mount, pytest.mark.slow, pytest.mark.in_turns]

NAMES = ("a", "b", "c")
CONTENTS = 24
FILES = 4
KIB = 1024
Files = dict[str, bytes]


def content(number: int) -> bytes:
    """Returns one of the pool: 64 to 256 KiB."""
    return noise((64 + number * 192 // (CONTENTS - 1)) * KIB, f"content {number}")


class Writer:
    """One workspace: what its mount is made to write, and what it must hold."""

    def __init__(self, mount: Served, name: str) -> None:
        self.mount = mount
        self._chance = random.Random(name)
        self.present: Files = {}
        self.kept: dict[str, Files] = {}
        self._expendable: list[str] = []

    def one_round(self, number: int, pool: list[bytes]) -> None:
        """Writes, takes a snapshot, forgets an older one."""
        for index in range(FILES):
            data = self._chance.choice(pool)
            (self.mount.path / f"f{index}").write_bytes(data)
            self.present[f"f{index}"] = data
        if number % 3 == 0:
            self.mount.control("snapshot", f"round-{number}")
            self.kept[f"round-{number}"] = dict(self.present)
        else:
            self._expendable.append(self.mount.snapshot())
        snapshots = self.mount.path / ".pyi" / "snapshots"
        while len(self._expendable) > 1:
            (snapshots / self._expendable.pop(0)).rmdir()
        while len(self.kept) > 1:
            first = next(iter(self.kept))
            (snapshots / first).rmdir()
            del self.kept[first]

    def check(self, path: Path) -> None:
        """Reads everything that the workspace keeps."""
        for name, data in self.present.items():
            assert (path / name).read_bytes() == data, f"{path}: {name}"
        for snapshot, files in self.kept.items():
            directory = path / ".pyi" / "snapshots" / snapshot
            assert sorted(os.listdir(directory)) == sorted(files)
            for name, data in files.items():
                assert (directory / name).read_bytes() == data, f"{path}: {snapshot}/{name}"


def test_what_mounts_write_again_while_it_is_collected_is_there(place: Path, is_long: bool) -> None:
    store, rounds = place / "store", 120 if is_long else 6
    pool = [content(number) for number in range(CONTENTS)]
    collector = Collector(store)
    with ExitStack() as stack:
        writers = [
            Writer(stack.enter_context(Served(store, name, place / name, **EAGER)), name)
            for name in NAMES
        ]
        for number in range(rounds):
            for writer in writers:
                collector.run(partial(writer.one_round, number, pool))
            collector.until_sealed()
            for writer in writers:
                writer.check(writer.mount.path)
    # Garbage was there, was chunks, and went.
    assert collector.maps > rounds / 2, vars(collector)
    assert collector.packs > rounds / 2, vars(collector)
    assert command_process.run("fsck", "--store", store, "--verify-data").code == 0
    # Again from the disk, by processes that have cached nothing.
    for writer in writers:
        with Served(store, writer.mount.path.name, writer.mount.path) as mount:
            writer.check(mount.path)


def bases(store: Path) -> set[str]:
    return {path.parent.name for path in (store / "layers").glob("*/*/base")}


def maps_removed_tables(mount: Served) -> bool:
    maps = Path(f"/proc/{mount.process.pid}/maps").read_text()
    return any(line.endswith("/base (deleted)") for line in maps.splitlines())


def test_a_busy_branch_has_few_base_tables_however_long_it_is_written(
    place: Path, is_long: bool
) -> None:
    """A table is due after 200 records here, for 10,000."""
    settings = {
        **EAGER["settings"],
        "pyi_fs.limits.FOLD_RECORDS_MIN": 200,
        "pyi_fs.engine.background._CHECKPOINT_SECONDS_MIN": 0,
        "pyi_fs.limits.COLLECT_LOOK_SECONDS": 0.05,
    }
    store, rounds = place / "store", 40 if is_long else 8
    collector = Collector(store)
    made: set[str] = set()
    written: Files = {}
    with Served(store, "a", place / "a", **{**EAGER, "settings": settings}) as mount:
        os.mkdir(mount.path / "d")
        for number in range(rounds):
            before, end = bases(store), time.monotonic() + PATIENCE_SECONDS
            while bases(store) <= before:
                assert time.monotonic() < end, f"no table: {mount.log}"
                name = f"f{len(written) % 500}"
                written[name] = noise(3_000, f"{number} {name}")
                (mount.path / "d" / name).write_bytes(written[name])
            made |= bases(store)
            if number == rounds // 2:
                mount.control("branch", "beside")
            collector.run()
            # Those that folds begin with, of the branch and of the one beside it, and new ones.
            assert len(bases(store)) <= 6
        end = time.monotonic() + PATIENCE_SECONDS
        while maps_removed_tables(mount):
            assert time.monotonic() < end, "removed tables are mapped, and have their blocks"
            (mount.path / "d" / "f0").write_bytes(written["f0"])
        for name, data in written.items():
            assert (mount.path / "d" / name).read_bytes() == data
    assert len(made) >= rounds
    collector.run()
    assert len(bases(store)) <= 4
    assert command_process.run("fsck", "--store", store, "--verify-data").code == 0
    with Served(store, "a", place / "a") as mount:
        for name, data in written.items():
            assert (mount.path / "d" / name).read_bytes() == data
