"""`kill -9` of a real `pyi-store purge` and of a real `pyi-gc`, at each call to the disk.

On a store that a mount wrote; the store is sound after it, the same command again ends it, and a
mount shows what it should. With `--long` before each call, else before some.
"""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.store import Store
from pyi_fs.fuse.transports import DIRECT
from tests.support import command_process
from tests.support.acceptance import Served
from tests.support.acceptance_eager import AT_ONCE, EAGER, Collector
from tests.support.commands import Done
from tests.support.engine_rig import noise
from tests.support.purge_rig import SECRET, places

pytestmark = [pytest.mark.mount, pytest.mark.crash, pytest.mark.slow]

# What dies is no mount.
TRANSPORTS = (DIRECT,)
FILES = {f"keep{index}": noise(100_000, f"keep {index}") for index in range(3)}


def write(mount: Served, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (mount.path / name).write_bytes(data)


def shows(path: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        assert (path / name).read_bytes() == data, f"{path}/{name}"


def moments(place: Path, step: int, run: Callable[[Path, int], Done]) -> Iterator[tuple[Path, int]]:
    """Yields a copy of the store in which the command died before its call of each number.

    The last one is of a command that came to its end.
    """
    number, is_over = 0, False
    while not is_over:
        path = place / "crashed"
        shutil.copytree(place / "store", path)
        done = run(path, number)
        assert done.code in (0, -signal.SIGKILL), (number, done)
        is_over = done.code == 0
        yield path, number
        shutil.rmtree(path)
        number += step
    assert number > 50, "it was over before it did anything"


def wrong(path: Path) -> list[str]:
    """Returns what the check finds; half written files, which a kill leaves, are notes."""
    found = check_directory(path, verify_data=True)
    return [str(one) for one in found if one.severity != "note"]


def test_a_purge_that_was_killed_is_ended_by_the_next_one(place: Path, is_long: bool) -> None:
    """The secret is sealed, in a snapshot, in a fork, and once more in scratch."""
    store = place / "store"
    with Served(store, "w", place / "mount", **EAGER) as mount:
        write(mount, {"env": SECRET + noise(70_000, "old"), **FILES})
        mount.control("snapshot", "first")
        Collector(store).until_sealed()
    assert command_process.run("fork", "--store", store, "w", "fork").code == 0
    later = {"keep0": FILES["keep0"], "later": noise(10_000, "later")}
    with Served(store, "w", place / "mount") as mount:
        write(mount, {"env": SECRET, **later})
        mount.control("snapshot", "second")

    def purge(path: Path, death: int | None = None) -> Done:
        options = {} if death is None else {"death": death}
        words = ("--store", path, "purge", "--yes", "w", "env")
        return command_process.run("store", *words, **options)

    count = 0
    for path, number in moments(place, 1 if is_long else 11, purge):
        count += 1
        assert wrong(path) == [], number
        done = purge(path)
        assert done.code == 0, (number, done)
        with closing(Store.open(path)) as opened:
            assert places(opened, SECRET) == [], number
        assert wrong(path) == [], number
        with Served(path, "w", place / "mount") as mount:
            snapshots = mount.path / ".pyi" / "snapshots"
            shows(mount.path, {"env": bytes(len(SECRET)), **FILES, **later})
            shows(snapshots / "second", {"env": bytes(len(SECRET)), **FILES, **later})
            shows(snapshots / "first", {"env": bytes(len(SECRET) + 70_000), **FILES})
    with Served(store, "fork", place / "mount") as mount:
        # The one that nobody purged: all of this was there to be found.
        shows(mount.path, {"env": SECRET + noise(70_000, "old"), **FILES})
    assert count > 3


def test_a_collection_that_was_killed_is_ended_by_the_next_one(place: Path, is_long: bool) -> None:
    """Snapshots, a map, packs and a dropped workspace go; what is kept is right."""
    store = place / "store"
    shared = {"shared": noise(150_000, "shared")}
    with Served(store, "gone", place / "mount", **EAGER) as mount:
        write(mount, {"own": noise(200_000, "own"), **shared})
        Collector(store).until_sealed()
    with Served(store, "w", place / "mount", **EAGER) as mount:
        for index in range(4):
            write(mount, {"result": noise(120_000, f"result {index}"), **shared, **FILES})
            mount.control("snapshot", f"s{index}")
            Collector(store).until_sealed()
        for index in (0, 2):
            (mount.path / ".pyi" / "snapshots" / f"s{index}").rmdir()
    assert command_process.run("store", "--store", store, "rm", "gone", "--yes").code == 0

    def collect(path: Path, death: int | None = None) -> Done:
        options = {} if death is None else {"death": death}
        return command_process.run("gc", "--store", path, settings=AT_ONCE, **options)

    count, sizes = 0, set()
    for path, number in moments(place, 1 if is_long else 9, collect):
        count += 1
        assert wrong(path) == [], number
        done = collect(path)
        assert done.code == 0, (number, done)
        assert wrong(path) == [], number
        sizes.add(sum(pack.stat().st_size for pack in (path / "packs").rglob("*.pack")))
        with Served(path, "w", place / "mount") as mount:
            shows(mount.path, {"result": noise(120_000, "result 3"), **shared, **FILES})
            kept = mount.path / ".pyi" / "snapshots" / "s1"
            shows(kept, {"result": noise(120_000, "result 1"), **shared, **FILES})
    before = sum(pack.stat().st_size for pack in (store / "packs").rglob("*.pack"))
    assert max(sizes) < before - 2 * 120_000
    assert count > 3
