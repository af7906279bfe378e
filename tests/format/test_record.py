"""Frames and codecs: what is written is read, what is damaged or unknown is not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import FormatTooNewError, FormatUnknownError, RequestError
from pyi_fs.format.record import (
    FORMAT_VERSION,
    FRAME_HEADER_BYTES,
    LayerHeader,
    decode_header,
    decode_mutation,
    decode_operation,
    encode_frame,
    encode_header,
    encode_mutation,
    encode_operation,
    frames,
    tail_after_power_loss,
    tail_of,
)
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, SnapshotId, segment_id
from pyi_fs.model import extent
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Graft, Mutation, Reap, Remove, Share
from pyi_fs.model.operation import Operation, Reserve, TakeSnapshot
from pyi_fs.model.tree import root_only
from tests.support.oracle import Content
from tests.support.strategies import mutations

HEADER = LayerHeader(
    FORMAT_VERSION, LayerId(7), Position(LayerId(3), 99), None, 5, "boot", "ws", "main"
)


def file_of(payloads: list[bytes], seed: int, base: int = 0) -> bytes:
    data = b""
    for payload in payloads:
        data += encode_frame(payload, base + len(data), seed)
    return data


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(0, 2**64 - 1), st.integers(0, 99))
def test_frames_are_read_as_written(payloads: list[bytes], seed: int, base: int) -> None:
    data = file_of(payloads, seed, base)
    found = list(frames(data, seed, base=base))
    assert [payload for _, payload in found] == payloads
    assert not found or found[-1][0] == base + len(data)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.data())
def test_every_flipped_bit_ends_the_frames_before_it(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = file_of(payloads, 5)
    position = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[position // 8] ^= 1 << position % 8
    ends = [end for end, _ in frames(whole, 5)]
    kept = [end for end, _ in frames(damaged, 5)]
    assert kept == [end for end in ends if end <= position // 8]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.data())
def test_a_cut_leaves_the_whole_frames(payloads: list[bytes], data: st.DataObject) -> None:
    whole = file_of(payloads, 5)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [end for end, _ in frames(whole, 5)]
    assert [end for end, _ in frames(whole[:cut], 5)] == [end for end in ends if end <= cut]


def test_a_frame_counts_only_at_its_own_place_in_its_own_file() -> None:
    frame = encode_frame(b"payload", 16, 5)
    assert list(frames(frame, 5, base=16)) == [(16 + len(frame), b"payload")]
    assert list(frames(frame, 5, base=15)) == []
    assert list(frames(frame, 6, base=16)) == []
    assert list(frames(bytes(16) + frame, 5, start=16)) == [(16 + len(frame), b"payload")]


def test_zeros_and_giant_lengths_are_no_frames() -> None:
    assert list(frames(bytes(100), 0)) == []
    assert list(frames(b"\xff" * 100, 0)) == []
    assert len(encode_frame(b"x", 0, 0)) == FRAME_HEADER_BYTES + 1


@given(st.data())
def test_mutations_are_read_as_written(data: st.DataObject) -> None:
    tree = root_only(0o40755, 0, 0, 1)
    mutation: Mutation = data.draw(mutations(tree, Content(), 1))
    try:
        apply(tree, mutation)
    except RequestError:
        # No writer appends it; it may be refused again when it is read.
        return
    assert decode_mutation(encode_mutation(mutation)) == mutation


def test_grafts_keep_every_record() -> None:
    root = root_only(0o40755, 0, 0, 1).existing(InodeNumber(1))
    graft = Graft(
        ((InodeNumber(1), root), (InodeNumber(2), None)),
        ((InodeNumber(1), b"\xff", InodeNumber(0)),),
    )
    assert decode_mutation(encode_mutation(graft)) == graft


def test_operations_are_read_as_written() -> None:
    snapshot = TakeSnapshot(
        1, BranchName("main"), SnapshotId("1-a"), Position(LayerId(1), 2), 1, 2, 3
    )
    for operation in (Reserve(InodeNumber(9)), snapshot):
        read: Operation = decode_operation(encode_operation(operation))
        assert read == operation


@pytest.mark.parametrize(
    "payload", [b"\x91\x7f", b"\x91\x0b", b"\xc0", b"", b"\x94\x03\x01", b"\xff\xff"]
)
def test_unknown_records_are_refused_not_skipped(payload: bytes) -> None:
    with pytest.raises(FormatUnknownError):
        decode_mutation(payload)
    with pytest.raises(FormatUnknownError):
        decode_operation(payload)


def test_a_segment_is_named_by_eight_bytes_and_zeros() -> None:
    """So that equal sources are equal bytes; the invariants of a tree say so, too."""
    source = extent.scratch_source(segment_id(LayerId(1), 0))
    item = extent.Extent(0, 5, extent.SCRATCH, source, 0)
    shared = Share(InodeNumber(2), 0, 5, extent.pack(item), 1)
    assert decode_mutation(encode_mutation(shared)) == shared
    wrong = extent.pack(item._replace(source=source[:-1] + b"x"))
    with pytest.raises(FormatUnknownError):
        decode_mutation(encode_mutation(Share(InodeNumber(2), 0, 5, wrong, 1)))


def test_a_mutation_is_no_operation() -> None:
    with pytest.raises(FormatUnknownError):
        decode_operation(encode_mutation(Remove(InodeNumber(1), b"n", True, 5)))
    assert decode_mutation(encode_mutation(Reap(()))) == Reap(())


def test_a_header_is_read_as_written() -> None:
    assert decode_header(encode_header(HEADER)) == HEADER
    root = msgspec.structs.replace(HEADER, parent=None, root=(0o40755, 1, 2, 3))
    assert decode_header(encode_header(root)) == root


def test_a_header_of_a_later_version_says_so() -> None:
    later = msgspec.structs.replace(HEADER, version=FORMAT_VERSION + 1)
    with pytest.raises(FormatTooNewError, match=str(FORMAT_VERSION + 1)):
        decode_header(encode_header(later))
    with pytest.raises(FormatTooNewError):
        decode_header(msgspec.msgpack.encode([100, FORMAT_VERSION + 1, "of another shape"]))


@pytest.mark.parametrize("fields", [[100, FORMAT_VERSION], [99, 1], {"a": 1}, 100])
def test_what_is_no_header_is_refused(fields: object) -> None:
    with pytest.raises(FormatUnknownError):
        decode_header(msgspec.msgpack.encode(fields))


def test_a_torn_frame_is_told_from_damage():
    assert tail_of(b"", 0) == "nothing"
    assert tail_of(b"x" * 7, 0) == "torn"
    assert tail_of((20).to_bytes(4, "little") + bytes(23), 0) == "torn"
    assert tail_of((20).to_bytes(4, "little") + bytes(24), 0) == "damage"


def test_zeros_at_the_end_are_missing_after_a_power_loss():
    begun = (20).to_bytes(4, "little") + b"sums" + b"y" * 19
    assert tail_after_power_loss(b"", 0) == "nothing"
    assert tail_after_power_loss(bytes(100), 0) == "torn"
    assert tail_after_power_loss(begun + bytes(100), 0) == "torn"
    assert tail_after_power_loss(begun + b"y" + bytes(100), 0) == "damage"
    assert tail_after_power_loss(b"frame" + begun, 5) == "torn"
    assert tail_after_power_loss(bytes(5), 5) == "nothing"
