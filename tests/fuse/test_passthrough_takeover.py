"""A server that dies leaves what is passed through to the kernel, and to its successor."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.fuse.backings import is_permitted
from pyi_fs.fuse.device import kernel_release
from pyi_fs.fuse.transports import DIRECT
from tests.support.acceptance import disk_directory
from tests.support.engine_rig import noise
from tests.support.plain_rig import make_base
from tests.support.takeover import Held

pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.skipif(not is_permitted(), reason="passthrough takes CAP_SYS_ADMIN"),
    pytest.mark.skipif(kernel_release() < (6, 9), reason="passthrough is of Linux 6.9"),
]
TRANSPORTS = [DIRECT]
SIZE = 3_000_000
DATA = noise(SIZE, "data")


@pytest.fixture
def held() -> Iterator[Held]:
    """Gives a mount that has a holder, and a sealed snapshot `base`."""
    with disk_directory() as place:
        make_base(place / "store", DATA)
        held = Held(place)
        if held.status()["passed_through"] is None:
            pytest.skip("this kernel does not offer passthrough")
        yield held
        held.unmount()
        held.check()


def test_readers_see_nothing_of_it_and_the_successor_goes_on_with_them(held: Held) -> None:
    file = held.path / ".pyi/snapshots/base/f"
    first = os.open(file, os.O_RDONLY)
    mapped = mmap.mmap(first, 0, prot=mmap.PROT_READ)
    for death in range(1, 4):
        held.kill()
        # The kernel needs nobody for these.
        assert os.pread(first, SIZE, 0) == mapped[:] == DATA
        # A node that is open passed through has to be opened so again, by the same id.
        second = os.open(file, os.O_RDONLY)
        assert os.pread(second, SIZE, 0) == DATA
        direct = os.open(file, os.O_RDONLY | os.O_DIRECT)
        assert os.pread(direct, 1001, 77) == DATA[77:1078]
        status = held.status()
        assert (status["takeovers"], status["passed_through"]) == (death, 3)
        for descriptor in (second, direct):
            os.close(descriptor)
    mapped.close()
    os.close(first)
    assert held.status()["passed_through"] == 0
    # An ordinary open, and passed ones again: no mode and no id was left behind.
    direct = os.open(file, os.O_RDONLY | os.O_DIRECT)
    assert os.pread(direct, 10, 0) == DATA[:10]
    os.close(direct)
    with file.open("rb") as again:
        assert again.read() == DATA
        assert held.status()["passed_through"] == 1


def test_a_server_that_dies_while_an_open_waits_is_asked_again(held: Held, tmp_path: Path) -> None:
    """Whoever opens meanwhile has the file of the successor."""
    for number in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                data = (held.path / ".pyi/snapshots/base/f").read_bytes()
                code = 0 if data == DATA else 2
            finally:
                os._exit(code)
        held.kill()
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, number
