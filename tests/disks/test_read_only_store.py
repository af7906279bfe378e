"""A store on a disk that is mounted read-only, as a backup is: every program says that of it."""

import subprocess
from pathlib import Path

import pytest

from pyi_fs.cli import fork, gc, store, workspaces
from tests.support import small_disks
from tests.support.commands import call

pytestmark = [pytest.mark.mount, pytest.mark.slow]


def test_programs_say_that_the_disk_is_read_only(tmp_path: Path) -> None:
    try:
        with small_disks.memory_disk(tmp_path) as disk:
            place = disk / "store"
            workspaces.make_empty(place, "a")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=60)
            for command, words in (
                (store.command, ["ls"]),
                (store.command, ["info", "a"]),
                (fork.command, ["a", "b"]),
                (gc.command, []),
            ):
                done = call(command, "--store", place, *words, name="pyi")
                said = f"pyi: {place}/index.sqlite: Read-only file system\n"
                assert (done.code, done.errors) == (1, said)
    except small_disks.DiskUnavailableError as error:
        pytest.skip(f"no tmpfs of its own on this machine: {error}")
