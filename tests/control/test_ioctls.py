"""Numbers and arrays of the ioctls, and that the document has the same."""

import re
from pathlib import Path

import pytest

from pyi_fs.control import ioctls
from pyi_fs.control.files import FILES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "control-directory.md"


def test_the_document_has_every_number():
    rows = re.findall(r"^\| `PYI_IOC_(\w+)` \| `(0x\w+)` \| `(\w+)` \|", DOCUMENT.read_text(), re.M)
    told = {int(number, 16): name.encode() for _, number, name in rows}
    assert told == ioctls.FILES
    for word, number, _ in rows:
        assert getattr(ioctls, word) == int(number, 16)


def test_every_number_hands_the_array_in_and_out():
    for number, name in ioctls.FILES.items():
        assert number >> 30 == 3
        assert number >> 16 & (1 << 14) - 1 == ioctls.TEXT_BYTES
        assert FILES[name].write is not None
    assert ioctls.SNAPSHOT == 0xC4007950


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(1024), b""),
        (b"", b""),
        (b"a b\n" + bytes(1020), b"a b\n"),
        (b"a\0b" + bytes(1021), b"a"),
        (b"x" * 1024, b"x" * 1024),
    ],
)
def test_a_command_ends_with_the_first_nul_or_the_array(data, expected):
    assert ioctls.text(data) == expected


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 5000])
def test_an_answer_always_ends_with_a_nul(length):
    array = ioctls.array(b"x" * length)
    assert len(array) == 1024
    assert array.rstrip(b"\0") == b"x" * min(length, 1023)
