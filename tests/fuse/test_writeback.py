"""The writeback cache: what is flushed before a snapshot, and that the snapshot has it."""

import os
from pathlib import Path

import pytest

from pyi_fs.fuse.writeback import KernelFlush
from tests.support.fuse_rig import DIRECTORY, OWNER, ROOT
from tests.support.mounting import mounted


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
