"""Damaged stores under a real mount: right bytes or `EIO`, and the mount lives on."""

import errno
import os
import random
from pathlib import Path

import pytest

from tests.support.mounting import Mount, MountFailedError

pytestmark = [pytest.mark.mount, pytest.mark.slow]
KINDS = ("journal", "scratch-*", "runs-*", "synced", "pins")


def content(number: int) -> bytes:
    return random.Random(number).randbytes(3000)


@pytest.mark.parametrize("kind", KINDS)
def test_reads_give_the_right_bytes_or_eio(tmp_path: Path, kind: str) -> None:
    store = tmp_path / "store"
    with Mount(store, tmp_path / "mount") as mount:
        for number in range(30):
            (mount.path / f"f{number}").write_bytes(content(number))
        mount.snapshot()
        root = os.open(mount.path, os.O_RDONLY)
        os.fsync(root)
        os.close(root)
    chance = random.Random(kind)
    for file in store.glob(f"layers/*/*/{kind}"):
        data = bytearray(file.read_bytes())
        for _ in range(3 if data else 0):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
    try:
        mount = Mount(store, tmp_path / "mount")
    except MountFailedError:
        # Records that were durable once are not there: the branch is not opened as if it were well.
        assert kind == "journal"
        return
    refused = 0
    try:
        for number in range(30):
            try:
                assert (mount.path / f"f{number}").read_bytes() == content(number)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                refused += 1
        (mount.path / "new").write_bytes(b"new")
        assert (mount.path / "new").read_bytes() == b"new"
    finally:
        mount.unmount()
    assert (refused > 0) == kind.startswith("scratch")
    assert "BUG" not in mount.log
    assert "Traceback" not in mount.log
