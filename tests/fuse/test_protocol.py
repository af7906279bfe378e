"""Headers, INIT and notifications, from bytes and back."""

import ctypes
import struct

import pytest

from pyi_fs.errors import MalformedRequestError
from pyi_fs.fuse import protocol
from pyi_fs.fuse.protocol import InitFlag, Opcode
from tests.support.fuse_structs import BackingMap, InHeader, InitIn, InitOut, OutHeader, request


def test_header_is_read_as_the_kernel_lays_it_out():
    message = bytes(InHeader(48, Opcode.GETATTR, 7, 1 << 41, 1000, 100, 4321, 1, 0)) + bytes(8)
    assert protocol.header(message, 48) == (
        *(48, Opcode.GETATTR, 7, 1 << 41, 1000, 100, 4321, 1, 0),
    )


@pytest.mark.parametrize("length", [0, 1, 39])
def test_less_than_a_header_is_malformed(length):
    with pytest.raises(MalformedRequestError):
        protocol.header(bytes(length), length)


@pytest.mark.parametrize(("said", "words"), [(39, 0), (41, 0), (0, 0), (40, 1), (1 << 31, 0)])
def test_a_header_that_lies_about_its_length_is_malformed(said, words):
    message = bytes(InHeader(said, Opcode.GETATTR, 7, 1, 0, 0, 0, words, 0))
    with pytest.raises(MalformedRequestError):
        protocol.header(message, 40)


def test_answers_and_refusals_have_the_header_the_kernel_expects():
    assert protocol.answer_header(9, 4) == bytes(OutHeader(20, 0, 9))
    assert protocol.refusal(9, 2) == bytes(OutHeader(16, -2, 9))


def test_init_of_a_new_kernel_has_two_words_of_flags():
    flags, flags2 = InitFlag.INIT_EXT | InitFlag.ASYNC_READ, 1 << 7
    body = bytes(InitIn(7, 45, 131072, flags, flags2))
    assert protocol.init_request(body) == (7, 45, 131072, flags | InitFlag.HAS_RESEND)


def test_init_of_an_old_kernel_has_one():
    body = struct.pack("<IIII", 7, 31, 131072, InitFlag.ASYNC_READ)
    assert protocol.init_request(body) == (7, 31, 131072, InitFlag.ASYNC_READ)
    with pytest.raises(MalformedRequestError):
        protocol.init_request(body[:-1])
    with pytest.raises(MalformedRequestError):
        # Says that there is a second word, and there is none.
        protocol.init_request(struct.pack("<IIII", 7, 36, 131072, InitFlag.INIT_EXT))


def test_init_reply_is_laid_out_as_the_kernel_reads_it():
    flags = InitFlag.ASYNC_READ | InitFlag.INIT_EXT | InitFlag.HAS_RESEND
    body = protocol.init_reply(45, int(flags), 65536, background_max=64, congestion=48)
    assert len(body) == ctypes.sizeof(InitOut)
    found = InitOut.from_buffer_copy(body)
    assert (found.major, found.minor, found.max_readahead) == (7, 45, 65536)
    assert (found.flags, found.flags2) == ((1 << 30) | 1, 1 << 7)
    assert (found.max_background, found.congestion_threshold) == (64, 48)
    assert (found.max_write, found.time_gran, found.max_pages) == (1 << 20, 1, 256)


def test_interrupt_names_a_request():
    assert protocol.interrupted(struct.pack("<Q", 1 << 40)) == 1 << 40
    with pytest.raises(MalformedRequestError):
        protocol.interrupted(bytes(7))


def test_notifications_have_unique_zero_and_their_code():
    attributes = protocol.forget_attributes(5)
    assert attributes == bytes(OutHeader(40, 2, 0)) + struct.pack("<Qqq", 5, -1, 0)
    assert protocol.forget_pages(5) == bytes(OutHeader(40, 2, 0)) + struct.pack("<Qqq", 5, 0, 0)
    store = protocol.store_header(5, 100)
    assert store == bytes(OutHeader(140, 4, 0)) + struct.pack("<QQII", 5, 0, 100, 0)
    entry = protocol.forget_entry(1, b"name")
    assert entry == bytes(OutHeader(37, 3, 0)) + struct.pack("<QII", 1, 4, 0) + b"name\0"


def test_the_largest_request_has_room():
    assert protocol.REQUEST_BYTES_MAX >= 40 + 40 + protocol.WRITE_BYTES_MAX
    assert len(request(Opcode.LOOKUP, b"x\0")) == 42


def test_ioctls_of_the_device_are_those_of_the_header():
    """`_IOW(229, 1, struct fuse_backing_map)` and `_IOW(229, 2, uint32_t)`."""
    assert protocol.BACKING_OPEN == 0x4010E501
    assert protocol.BACKING_CLOSE == 0x4004E502
    assert protocol.backing_map(7) == bytes(BackingMap(7, 0, 0))
    assert protocol.backing_id(9) == (9).to_bytes(4, "little")


@pytest.mark.parametrize(("flags", "depth"), [(InitFlag.PASSTHROUGH, 1), (InitFlag.INIT_EXT, 0)])
def test_what_is_passed_through_may_not_lie_on_a_stacked_file_system(flags, depth):
    body = protocol.init_reply(45, int(flags), 4096, background_max=64, congestion=48)
    assert InitOut.from_buffer_copy(body).max_stack_depth == depth
