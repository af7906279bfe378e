"""The worked examples of docs/on-disk-format.md are what the codecs write and read."""

import re
from pathlib import Path

import pytest

from pyi_fs.format.record import (
    LayerHeader,
    decode_header,
    decode_mutation,
    decode_operation,
    encode_frame,
    encode_header,
    encode_mutation,
    encode_operation,
    frames,
)
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, segment_id
from pyi_fs.model.extent import SCRATCH, Extent, iterate, pack, scratch_source
from pyi_fs.model.mutation import Create
from pyi_fs.model.operation import Begin

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "on-disk-format.md"
LAYER = LayerId(0xC0FFEE01)
TIME = 1_700_000_000_000_000_000
LOG_SEED = 0x6C6F67


def example(name: str) -> bytes:
    """Returns the bytes of the hex example with that name."""
    found = re.search(rf"```hex {name}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None, f"no example {name}"
    return bytes.fromhex(found[1])


def test_the_extent_of_the_document_is_the_one_we_write():
    extent = Extent(0, 5, SCRATCH, scratch_source(segment_id(LAYER, 0)), 0)
    assert pack(extent) == example("extent")
    assert list(iterate(example("extent"))) == [extent]


def test_the_journal_of_the_document_is_the_one_we_write():
    header = LayerHeader(1, LAYER, None, (0o40755, 0, 0, TIME), TIME, "boot", "ws", "main")
    create = Create(InodeNumber(1), b"a.txt", InodeNumber(2), 0o100644, 1000, 1000, TIME + 1)
    first = encode_frame(encode_header(header), 0, LAYER << 20)
    second = encode_frame(encode_mutation(create), len(first), LAYER << 20)
    data = example("journal")
    assert first + second == data
    (_, one), (end, two) = frames(data, LAYER << 20)
    assert end == len(data)
    assert decode_header(one) == header
    assert decode_mutation(two) == create


def test_the_log_of_the_document_is_the_one_we_write():
    begin = Begin(TIME, BranchName("main"), Position(LAYER, 54), "empty", InodeNumber(2))
    data = example("log")
    assert encode_frame(encode_operation(begin), 0, LOG_SEED) == data
    ((_, payload),) = frames(data, LOG_SEED)
    assert decode_operation(payload) == begin


@pytest.mark.parametrize("name", ["journal", "log"])
def test_no_flipped_bit_of_the_examples_gives_a_frame_more(name):
    seed = LAYER << 20 if name == "journal" else LOG_SEED
    data = example(name)
    whole = list(frames(data, seed))
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        found = list(frames(bytes(damaged), seed))
        assert found == whole[: len(found)]
        assert len(found) < len(whole)
