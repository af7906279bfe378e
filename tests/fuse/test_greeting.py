"""What is taken of what a kernel offers."""

import struct

import pytest

from pyi_fs.errors import UnsupportedError
from pyi_fs.fuse.greeting import agree, wanted
from pyi_fs.fuse.protocol import MINOR_MAX, InitFlag, InitRequest

ALL = (1 << 64) - 1
PLAIN = wanted(writeback=False, passthrough=False)


def test_nothing_is_taken_that_is_not_offered():
    agreed = agree(InitRequest(7, 31, 131072, 0), wanted(writeback=True, passthrough=True))
    assert not agreed.passes_through
    assert not agreed.has_resend
    flags = struct.unpack_from("<IIII", agreed.body)[3]
    assert flags == 0


@pytest.mark.parametrize("writeback", [False, True])
@pytest.mark.parametrize("passthrough", [False, True])
def test_nothing_is_taken_that_is_not_wanted(writeback, passthrough):
    agreed = agree(
        InitRequest(7, 45, 131072, ALL), wanted(writeback=writeback, passthrough=passthrough)
    )
    assert agreed.passes_through is passthrough
    assert agreed.has_resend
    flags = struct.unpack_from("<IIII", agreed.body)[3]
    assert bool(flags & InitFlag.WRITEBACK_CACHE) is writeback


def test_a_newer_kernel_is_answered_in_our_minor_version():
    agreed = agree(InitRequest(7, 99, 131072, ALL), PLAIN)
    assert struct.unpack_from("<II", agreed.body) == (7, MINOR_MAX)
    assert agreed.is_final


def test_a_kernel_of_the_next_major_version_asks_again():
    assert not agree(InitRequest(8, 0, 131072, ALL), PLAIN).is_final


@pytest.mark.parametrize(("major", "minor"), [(7, 30), (6, 99)])
def test_a_kernel_that_is_too_old_is_refused(major, minor):
    with pytest.raises(UnsupportedError, match=f"{major}.{minor}, 7.31 is needed"):
        agree(InitRequest(major, minor, 131072, ALL), PLAIN)
