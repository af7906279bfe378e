"""Mounts that read the same sealed files hold them in memory once.

Four mounts and 20 MB, with `--long` fifty and 200 MB; `python -m bench.sharing` says what that is
in /proc/meminfo, which belongs to everybody on the machine.
"""

import os
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.gc_settings import write_settings
from pyi_fs.engine.store import Store
from pyi_fs.fuse.backings import is_permitted
from pyi_fs.fuse.device import kernel_release
from pyi_fs.fuse.transports import DIRECT
from tests.support.acceptance import ROOT, Served, run
from tests.support.engine_rig import noise
from tests.support.page_cache import cached_bytes
from tests.support.plain_rig import ANY_ROOM, plain_paths

pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.skipif(not is_permitted(), reason="passthrough takes CAP_SYS_ADMIN"),
    pytest.mark.skipif(kernel_release() < (6, 9), reason="passthrough is of Linux 6.9"),
]
TRANSPORTS = [DIRECT]
FILES = 10


def imported(place: Path, megabytes: int) -> Path:
    """Makes a store whose workspace `w` has the files, sealed, in a snapshot `base`."""
    source, store, mountpoint = place / "source", place / "store", place / "importing"
    for directory in (source, mountpoint):
        directory.mkdir()
    for number in range(FILES):
        (source / f"f{number}").write_bytes(noise(megabytes * 1_000_000 // FILES, str(number)))
    program = "from pyi_fs.cli.mount import main; main()"
    mount = (sys.executable, "-c", program)
    run(*mount, "w", mountpoint, "--store", store, "--from", f"{source}/", cwd=ROOT)
    (mountpoint / ".pyi" / "snapshot").write_text("base")
    run(*mount, "--unmount", mountpoint, cwd=ROOT)
    return store


def test_mounts_that_read_the_same_sealed_files_hold_them_once(place: Path, is_long: bool) -> None:
    """Half of them show the snapshot, half are writable forks with a snapshot of their own."""
    count, megabytes = (50, 200) if is_long else (4, 20)
    store = imported(place, megabytes)
    with closing(Store.open(store)) as opened:
        write_settings(opened.storage, ANY_ROOM)
        for number in range(1, count, 2):
            fork_workspace(opened, "w", None, f"fork{number}")
    with ExitStack() as stack:
        shown = []
        for number in range(count):
            name, options = (f"fork{number}", {}) if number % 2 else ("w", {"snapshot": "base"})
            served = stack.enter_context(Served(store, name, place / f"m{number}", **options))
            if served.status()["passed_through"] is None:
                pytest.skip("this kernel does not offer passthrough")
            if number % 2:
                (served.path / ".pyi" / "snapshot").write_text("base")
                (served.path / "f0").write_bytes(b"written, which is nothing to the others")
            shown.append(served.path / ".pyi/snapshots/base" if number % 2 else served.path)
        wanted = sums(place / "source")
        readers = [
            subprocess.Popen(["md5sum", *names], cwd=top, stdout=subprocess.PIPE)
            for top in shown
            for names in [sorted(os.listdir(place / "source"))]
        ]
        for reader in readers:
            assert sorted(reader.communicate(timeout=100)[0].splitlines()) == wanted
        held = [cached_bytes(path) for path in plain_paths(store)]
        assert len(held) == FILES
        # Whole, less what the machine needed for something else.
        assert 0 < sum(held) <= megabytes * 1_000_000 + FILES * 4096
        own = sum(cached_bytes(top / f"f{number}") for top in shown for number in range(FILES))
        assert own == 0
        sys.stdout.write(f"\n{count} mounts: {sum(held) / 1e6:.0f} MB in memory, once\n")


def sums(directory: Path) -> list[bytes]:
    names = sorted(os.listdir(directory))
    done = subprocess.run(["md5sum", *names], cwd=directory, capture_output=True, check=True)
    return sorted(done.stdout.splitlines())
