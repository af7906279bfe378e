"""The writeback cache: what is flushed before a snapshot, and that the snapshot has it."""

import contextlib
import os
import time
from pathlib import Path

import pytest
import trio

from pyi_fs.fuse import mount as mount_module
from pyi_fs.fuse.writeback import KernelFlush
from tests.support.fuse_rig import DIRECTORY, OWNER, ROOT
from tests.support.mounting import PATIENCE_SECONDS, Mount, mounted


async def test_files_open_for_writing_are_flushed_by_a_path(rig):
    flush = KernelFlush(rig.state, Path("/mnt"))
    directory = rig.make(ROOT, "d", DIRECTORY)
    written, read, gone = (rig.make(directory, name) for name in ("written", "read", "gone"))
    rig.open(written, os.O_RDWR)
    rig.open(read, os.O_RDONLY)
    rig.open(gone, os.O_WRONLY)
    rig.names.remove(directory, b"gone", OWNER, directory=False)
    assert flush.paths() == [b"/mnt/d/written"]
    await rig.command("branch", "other")
    rig.open(rig.node(".pyi/branches/other/d/written"), os.O_WRONLY)
    assert sorted(flush.paths()) == [b"/mnt/.pyi/branches/other/d/written", b"/mnt/d/written"]


@pytest.mark.mount
@pytest.mark.slow
def test_a_snapshot_has_what_was_written_before_it(tmp_path):
    with mounted(tmp_path, writeback=True) as mount:
        with (mount.path / "f").open("wb", buffering=0) as file:
            for index in range(200):
                file.write(b"%04d" % index)
            snapshot = mount.snapshot()
            file.write(b"later")
        old = mount.path / ".pyi" / "snapshots" / snapshot / "f"
        assert old.read_bytes() == b"".join(b"%04d" % index for index in range(200))
        mount.control("restore", snapshot)
        assert (mount.path / "f").read_bytes() == old.read_bytes()


@pytest.mark.mount
@pytest.mark.slow
def test_what_the_control_file_was_synced_for_survives(tmp_path):
    """`fsync` of `.pyi/snapshot` alone, without reading it, reaches what the kernel held back."""
    mount = Mount(tmp_path / "store", tmp_path / "mount", {"writeback": True})
    file = os.open(mount.path / "f", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(file, b"written" * 1000)
    control = os.open(mount.path / ".pyi" / "snapshot", os.O_WRONLY)
    os.fsync(control)
    mount.kill()
    for descriptor in (file, control):
        with contextlib.suppress(OSError):
            # Closing asks to flush, and nobody answers; the descriptor is gone all the same.
            os.close(descriptor)
    with mounted(tmp_path) as again:
        assert (again.path / "f").read_bytes() == b"written" * 1000


@pytest.mark.mount
@pytest.mark.slow
def test_snapshots_and_syncs_of_the_clock_have_what_was_written(tmp_path):
    """Nobody asks, so the mount itself has the kernel flush: the kernel would wait for 30 s."""
    options = {"writeback": True, "snapshot_every": 0.02, "sync_interval": 0.02}
    with mounted(tmp_path, **options) as mount, (mount.path / "f").open("wb", buffering=0) as file:
        file.write(b"written")
        deadline = time.monotonic() + PATIENCE_SECONDS / 4
        # Listings and snapshots are looked at without a flush; control files are not read.
        snapshots = mount.path / ".pyi" / "snapshots"
        while not any(
            (snapshots / name / "f").exists() and (snapshots / name / "f").stat().st_size
            for name in os.listdir(snapshots)
        ):
            assert time.monotonic() < deadline, os.listdir(snapshots)


async def test_nothing_is_flushed_while_nothing_is_open_for_writing(rig, nursery, autojump_clock):
    """A mount that nobody writes to is not woken: closing a file has flushed it."""
    flushed = []

    async def flush():
        flushed.append(trio.current_time())

    rig.state.flush_kernel = flush
    nursery.start_soon(mount_module._flush_every, rig.state, 30.0)  # noqa: SLF001
    node = rig.make(ROOT, "f")
    reading = rig.open(node)
    await trio.sleep(3600)
    assert flushed == []
    writing = rig.open(node, os.O_RDWR)
    await trio.sleep(95)
    assert len(flushed) == 3
    rig.reaper.release(writing)
    await trio.sleep(3600)
    assert len(flushed) == 4
    rig.reaper.release(reading)
