"""A store on a disk that is mounted read-only, as a backup is: every program says that of it.

But `pyi-fsck`, which checks it: nothing else tells whether a backup is whole.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.cli import fork, fsck, gc, store, workspaces
from pyi_fs.fuse.transports import DIRECT
from tests.support import small_disks
from tests.support.commands import Done, call, run
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything

pytestmark = [pytest.mark.mount, pytest.mark.slow]

# Nothing is mounted but the disk.
TRANSPORTS = (DIRECT,)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    try:
        with small_disks.memory_disk(tmp_path) as made:
            yield made
    except small_disks.DiskUnavailableError as error:
        pytest.skip(f"no tmpfs of its own on this machine: {error}")


def filled(disk: Path) -> Path:
    """Returns a store with a sealed file in a pack, at rest: its index has no log."""
    place = disk / "store"
    with opened(place) as made:
        with written(made, "a") as (workspace, branch):
            put(branch, b"f", noise(100_000, "f"))
            workspace.snapshot(branch)
        seal_everything(made)
    assert not list(place.glob("index.sqlite-*"))
    return place


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=60)


def checked(place: Path, *words: str) -> Done:
    return call(fsck.command, "--store", place, "--verify-data", *words, name="pyi-fsck")


def damage_pack(place: Path) -> None:
    (pack,) = place.glob("packs/*/*.pack")
    data = bytearray(pack.read_bytes())
    data[1000] ^= 1
    pack.write_bytes(data)


def leave_log(place: Path) -> None:
    """Makes a process die that has the index open; what it committed is in the log alone."""
    text = f"""
import os, signal
from pathlib import Path
from pyi_fs.engine.store import Store
store = Store.open(Path({str(place)!r}))
store.index.sync()
os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", text], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert (place / "index.sqlite-wal").stat().st_size > 0


def test_a_store_at_rest_is_checked(disk: Path) -> None:
    place = filled(disk)
    read_only(disk)
    assert checked(place) == (0, "", "")


def test_damage_is_found_and_nothing_can_be_mended(disk: Path) -> None:
    place = filled(disk)
    damage_pack(place)
    read_only(disk)
    done = checked(place)
    assert done.code == 4
    assert "(touches f)" in done.output
    for option in ("--repair", "--rebuild-index"):
        done = run("fsck", "--store", place, option)
        assert done.code == 8, option
        assert (done.output, done.errors.count("\n")) == ("", 1)
        assert done.errors.endswith(": Read-only file system\n"), option


def test_an_index_that_lacks_a_pack_is_told(disk: Path) -> None:
    """It is the index that is asked, not the packs in its place."""
    place = filled(disk)
    shutil.copy(place / "index.sqlite", disk / "old")
    with opened(place) as made:
        with written(made, "a") as (_, branch):
            put(branch, b"g", noise(100_000, "g"))
        seal_everything(made)
    os.replace(disk / "old", place / "index.sqlite")
    read_only(disk)
    done = checked(place)
    assert done.code == 4
    assert "is in no pack (touches g)" in done.output
    assert "(touches f)" not in done.output


def test_the_log_that_a_killed_process_left_is_read(disk: Path) -> None:
    place = filled(disk)
    leave_log(place)
    read_only(disk)
    assert checked(place) == (0, "", "")


def test_where_a_log_cannot_be_read_the_packs_are_asked(disk: Path) -> None:
    """Without the memory that its readers share; SQLite would have to make that."""
    place = filled(disk)
    leave_log(place)
    (place / "index.sqlite-shm").unlink()
    read_only(disk)
    done = checked(place)
    assert (done.code, done.errors) == (0, "")
    assert done.output == (
        "note: index.sqlite: cannot be read on a read-only disk: the packs were asked instead\n"
    )


def test_where_the_packs_are_asked_damage_is_found_too(disk: Path) -> None:
    place = filled(disk)
    leave_log(place)
    (place / "index.sqlite-shm").unlink()
    damage_pack(place)
    read_only(disk)
    done = checked(place)
    assert done.code == 4
    assert "(touches f)" in done.output


def test_programs_say_that_the_disk_is_read_only(disk: Path) -> None:
    place = disk / "store"
    workspaces.make_empty(place, "a")
    read_only(disk)
    for command, words in (
        (store.command, ["ls"]),
        (store.command, ["info", "a"]),
        (fork.command, ["a", "b"]),
        (gc.command, []),
    ):
        done = call(command, "--store", place, *words, name="pyi")
        said = f"pyi: {place}/index.sqlite: Read-only file system\n"
        assert (done.code, done.errors) == (1, said)


def test_mounts_of_a_disk_that_became_read_only_are_ended_one_by_one(tmp_path: Path) -> None:
    """By pyi-mount: `umount` alone would leave a user in doubt whether all had ended."""
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disks.loop_disk(tmp_path))
        except small_disks.DiskUnavailableError as error:
            pytest.skip(f"no ext4 of its own on this machine: {error}")
        end_one_by_one(tmp_path, disk)


def end_one_by_one(tmp_path: Path, disk: Path) -> None:
    """Mounts a branch beside another one, has the disk fail, and unmounts both."""
    first, second = tmp_path / "first", tmp_path / "second"
    options = ("--store", disk / "store")
    first.mkdir()
    second.mkdir()
    assert run("mount", *options, "--transport=direct", "w", first).code == 0
    (first / ".pyi" / "branch").write_text("try\n")
    assert run("mount", *options, "--branch=try", "--beside", first, "w", second).code == 0
    (second / "f").write_text("there")
    small_disks.make_read_only(disk)
    assert (second / "f").read_text() == "there"
    done = run("mount", "--unmount", second)
    assert (done.code, done.output, done.errors) == (0, "", "")
    assert (first / ".pyi" / "mount").read_text() == f"w/main\t{first}\n"
    done = run("mount", "--unmount", first)
    assert (done.code, done.output, done.errors) == (0, "", "")
    assert not os.path.ismount(first)
