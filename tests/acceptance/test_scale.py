"""Size does not matter: times are reported, memory, descriptors and the size of the store are held.

Times are printed (pytest -rP, or -s): how long an operation takes on a shared machine proves
nothing, but a table of small and large side by side shows at a glance what grows.
"""

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.acceptance import (
    PATIENCE_SECONDS,
    ROOT,
    Served,
    finish,
    run,
    start,
    stop,
)

pytestmark = [pytest.mark.mount, pytest.mark.slow]

MEGABYTE = 1 << 20
REPEATS = 9


def import_tree(place: Path, count: int) -> Path:
    """Makes a store whose workspace `w` has `count` files in its base; returns the store."""
    source, store = place / f"source{count}", place / f"store{count}"
    for number in range(count):
        directory = source / f"d{number // 10_000}" / f"s{number // 100}"
        if number % 100 == 0:
            directory.mkdir(parents=True)
        (directory / f"file{number}").write_bytes(b"content %d\n" % number)
    program = "from pyi_fs.cli.mount import main; main()"
    mountpoint = place / "importing"
    mountpoint.mkdir()
    run(
        *(sys.executable, "-c", program, "w", mountpoint, "--store", store, "--from", f"{source}/"),
        cwd=ROOT,
        seconds=300,
    )
    run(sys.executable, "-c", program, "--unmount", mountpoint, cwd=ROOT)
    mountpoint.rmdir()
    shutil.rmtree(source)
    return store


def timed(action: Callable[[int], object]) -> float:
    """Returns the median time of an action, in ms."""
    times = []
    for number in range(REPEATS):
        started = time.perf_counter()
        action(number)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def edit(top: Path, salt: object) -> None:
    for number in range(10):
        (top / "d0" / "s0" / f"file{number}").write_text(f"edited {salt}\n")


def times_of(served: Served, store: Path) -> dict[str, float]:
    """Returns the median times of what must not depend on the size of the tree, in ms."""
    descriptor = os.open(served.path / ".pyi" / "snapshot", os.O_RDWR)
    ids = []

    def snapshot(number: int) -> None:
        ids.append(os.pread(descriptor, 200, 0).decode().split("\t")[0])

    def edit_and_snapshot(number: int) -> None:
        edit(served.path, number)
        snapshot(number)

    found = {}
    edit(served.path, "first")
    snapshot(0)
    found["ten edits and a snapshot"] = timed(edit_and_snapshot)
    found["snapshot of an unchanged tree"] = timed(snapshot)
    found["restore of ten edits"] = timed(lambda number: served.control("restore", ids[number]))
    found["branch"] = timed(lambda number: served.control("branch", f"b{number}"))
    found["drop"] = timed(lambda number: served.control("drop", f"b{number}"))
    program = (
        "import sys, time; from pathlib import Path; from pyi_fs.engine.store import Store\n"
        "from pyi_fs.engine.founding import fork_workspace\n"
        "store = Store.open(Path(sys.argv[1])); times = []\n"
        "for number in range(9):\n"
        "    started = time.perf_counter()\n"
        "    fork_workspace(store, 'w', None, f'fork{number}')\n"
        "    times.append(time.perf_counter() - started)\n"
        "store.close(); print(sorted(times)[4] * 1000)\n"
    )
    found["fork"] = float(run(sys.executable, "-c", program, store, cwd=ROOT))
    os.close(descriptor)
    return found


def test_operations_on_small_and_large_trees(place, is_long):
    """Reports a table. What is asserted: that the operations do what they say on both."""
    small, large = 200, 200_000 if is_long else 20_000
    table = {}
    for count in (small, large):
        store = import_tree(place, count)
        started = time.perf_counter()
        with Served(store, "w", place / f"mount{count}") as served:
            mounting = (time.perf_counter() - started) * 1000
            table[count] = times_of(served, store)
            table[count]["mounting, with the start of Python"] = mounting
            assert (served.path / "d0" / "s0" / "file0").read_text().startswith("edited")
        with Served(store, "fork3", place / f"mount{count}") as served:
            load = start("rewriter", served.path / "load", 8 * MEGABYTE, 0)
            try:
                started = time.perf_counter()
                with Served(store, "w", place / f"second{count}") as second:
                    loaded = (time.perf_counter() - started) * 1000
                    assert (second.path / "d0").is_dir()
                finish(load)
            finally:
                stop(load)
            table[count]["mounting beside a busy mount"] = loaded
    sys.stdout.write(f"\n{'ms, median of 9':36}{small:>10,}{large:>10,} files\n")
    for name, value in table[small].items():
        sys.stdout.write(f"{name:36}{value:10.2f}{table[large][name]:10.2f}\n")


def test_walking_an_unchanged_base_costs_no_private_memory(place, is_long):
    """Less than 10 MB of Private_Dirty for a walk with stat over everything."""
    count = 200_000 if is_long else 20_000
    store = import_tree(place, count)
    with Served(store, "w", place / "mount") as served:
        os.listdir(served.path)
        before = served.private_dirty_bytes()
        found = run("find", served.path, "-type", "f", "-size", "+0", "-printf", "x", seconds=100)
        assert found.count("x") == count
        added = served.private_dirty_bytes() - before
        sys.stdout.write(f"\nwalk of {count:,} files: {added / MEGABYTE:+.1f} MB Private_Dirty\n")
        assert added < 10 * MEGABYTE


def test_tar_and_rm_of_many_files_with_few_descriptors(served, place, is_long):
    """The mount process is limited to 1,024 descriptors and never needs one for each file."""
    count = 20_000 if is_long else 4000
    run("prlimit", "--pid", str(served.process.pid), "--nofile=1024:1024")
    top = served.path / "many"
    for number in range(count):
        if number % 500 == 0:
            (top / f"d{number // 500}").mkdir(parents=True)
        (top / f"d{number // 500}" / f"f{number}").write_bytes(b"%d" % number)
    run("tar", "-C", served.path, "-cf", place / "many.tar", "many")
    run("rm", "-rf", top)
    assert os.listdir(served.path) == []
    run("tar", "-C", served.path, "-xf", place / "many.tar")
    # A second archive is the same: contents, modes and times went through unharmed.
    run("tar", "-C", served.path, "-df", place / "many.tar")
    assert len(os.listdir(f"/proc/{served.process.pid}/fd")) < 200
    run("rm", "-rf", top)


def test_a_directory_of_many_entries(place, is_long):
    """Each is listed once and found, half of them go, and a snapshot and a restore have all."""
    count = 200_000 if is_long else 4000
    names = [f"entry-{number:06}" for number in range(count)]
    gone, left = set(names[::2]), names[1::2]
    with Served(place / "store", "w", place / "mount") as served:
        top = served.path / "many"
        top.mkdir()
        for name in names:
            os.close(os.open(top / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert sorted(os.listdir(top)) == names
        assert len({os.lstat(top / name).st_ino for name in names}) == count
        snapshot = served.snapshot()
        frozen = served.path / ".pyi" / "snapshots" / snapshot / "many"
        # What is removed while the directory is read hides none of what stays.
        seen = []
        with os.scandir(top) as entries:
            for entry in entries:
                seen.append(entry.name)
                if entry.name in gone:
                    os.unlink(entry.path)
        assert sorted(seen) == names
        assert sorted(os.listdir(top)) == left
        assert not any((top / name).exists() for name in sorted(gone)[:1000])
        assert sorted(os.listdir(frozen)) == names
        served.control("restore", snapshot)
        assert sorted(os.listdir(top)) == names
        assert all((top / name).exists() for name in sorted(gone)[:1000])
        run("rm", "-rf", top, seconds=600)
        assert os.listdir(served.path) == []
    with Served(place / "store", "w", place / "mount") as served:
        assert os.listdir(served.path) == []
        served.control("restore", snapshot)
        assert sorted(os.listdir(served.path / "many")) == names


def disk_bytes(store: Path) -> int:
    """Returns the blocks that the files of a store have, in bytes."""
    total = 0
    for directory, _, names in os.walk(store):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:
                # Given back meanwhile.
                continue
    return total


def test_a_file_rewritten_again_and_again_leaves_a_bounded_store(place, writeback, is_long):
    """100 MB 200 times between two snapshots (or 20 MB 50 times) leaves a few files' worth.

    What was overwritten is given back once that is synced, so how high the store gets meanwhile is
    a matter of the disk: the sum of what is written while it syncs. It is printed, and with --long,
    where 20 GB are written, held to a part of that.
    """
    size, times = (100 * MEGABYTE, 200) if is_long else (20 * MEGABYTE, 50)
    store = place / "store"
    with Served(store, "w", place / "mount", seconds=400, writeback=writeback) as served:
        (served.path / "other").write_bytes(b"beside")
        served.snapshot()
        started = time.perf_counter()
        writer = start("rewriter", served.path / "checkpoint", size, times)
        highest = 0
        try:
            while writer.poll() is None:
                highest = max(highest, disk_bytes(store))
                time.sleep(0.1)
            finish(writer)
        finally:
            stop(writer)
        took = time.perf_counter() - started
        snapshot = served.snapshot()
        served.control("restore", snapshot)
        # What waits for a sync, and the file itself.
        wanted = 400 * MEGABYTE + 2 * size
        patience = time.monotonic() + PATIENCE_SECONDS
        while (end := disk_bytes(store)) >= wanted and time.monotonic() < patience:
            time.sleep(0.1)
    sys.stdout.write(
        f"\n{size * times // MEGABYTE:,} MB written at {size * times / MEGABYTE / took:.0f} MB/s:"
        f" store at most {highest // MEGABYTE} MB, at the end {end // MEGABYTE} MB\n"
    )
    assert end < wanted
    assert not is_long or highest < size * times / 4
