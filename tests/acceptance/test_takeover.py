"""A mount goes on when its server is killed, again and again, under jobs that must not notice."""

import contextlib
import os
from pathlib import Path

import pytest

from pyi_fs.fuse.device import kernel_release
from tests.support.acceptance import disk_directory
from tests.support.small_disks import memory_disk
from tests.support.takeover import Held, Prober, Wait, rounds
from tests.support.takeover_jobs import JOBS

TRANSPORTS = ("direct",)
pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not send again"),
]


@pytest.mark.parametrize("options", [[], ["--writeback"]], ids=["through", "writeback"])
def test_no_job_sees_the_death_of_its_server(options, request, monkeypatch):
    """All jobs at once: a database, a log, a mapping, names, a listing, locks, `.pyi/`, a build."""
    is_long = request.config.getoption("--long")
    monkeypatch.setenv("PYI_MAPPED_BYTES", str(1 << 30 if is_long else 16 << 20))
    waits: list[Wait] = []
    with disk_directory() as place:
        held = Held(place, *options)
        lines = rounds(held, sorted(JOBS), 250 if is_long else 4, seed=20261129, report=waits)
        assert [line.partition(":")[0] for line in lines] == sorted(JOBS)
        assert all(int(line.partition(":")[2]) > 0 for line in lines), lines
        assert held.status()["takeovers"]
        held.unmount()
        held.check()


# Ends every server that is asked to sync while a file is there.
DEADLY = """
import os
from pyi_fs.fuse.files import FileHandlers
sync = FileHandlers.fsync
async def fsync(self, handle):
    if os.path.exists({deadly!r}):
        os.abort()
    await sync(self, handle)
FileHandlers.fsync = fsync
"""


def test_a_request_that_its_servers_die_of_gets_an_error_and_the_mount_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = tmp_path / "deadly"
    (tmp_path / "sitecustomize.py").write_text(DEADLY.format(deadly=str(deadly)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with disk_directory() as place:
        held = Held(place)
        prober = Prober(held.path)
        with (held.path / "file").open("wb", buffering=0) as file:
            file.write(b"before")
            deadly.touch()
            with pytest.raises(OSError, match="Input/output error"):
                os.fsync(file)
            deadly.unlink()
            file.write(b" and after")
            os.fsync(file)
        assert (held.path / "file").read_text() == "before and after"
        prober.stop()
        assert "servers ended again and again in request" in held.log()
        # One more than three: how the first server ended, nobody knows.
        assert held.status()["takeovers"] == 4
        held.unmount()
        held.check()


def test_a_holder_that_dies_takes_the_next_death_along(tmp_path: Path):
    with disk_directory() as place:
        held = Held(place)
        (held.path / "kept").write_text("yes")
        held.kill_holder()
        assert (held.path / "kept").read_text() == "yes"
        held.kill()
        with pytest.raises(OSError, match=r"not connected|aborted"):
            (held.path / "other").stat()
        held.run("pyi-mount", "--store", str(held.store), "w", str(held.path))
        assert (held.path / "kept").read_text() == "yes"
        held.unmount()
        held.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk of its own")
def test_a_full_disk_does_not_keep_the_next_server_from_going_on(tmp_path: Path):
    with memory_disk(tmp_path) as disk:
        held = Held(disk)
        _fill(held.path / "big")
        _fill(disk / "filler")
        with (held.path / "big").open("rb") as file:
            held.kill()
            assert file.read(1 << 20)
        (held.path / "big").unlink()
        (disk / "filler").unlink()
        (held.path / "small").write_text("there is room again")
        held.unmount()
        held.check()


def _fill(path: Path) -> None:
    """Takes what is left of a disk, to the last block."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(os.urandom(4096))
