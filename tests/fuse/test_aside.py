"""What nobody waits for is done after the next answer, and never later than anybody can see."""

import struct

import pytest
import trio

from pyi_fs.fuse.aside import Aside
from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.nodes import CONTROL_BIT, ROOT_NODE
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.polling_tokens import PollingTokens
from pyi_fs.fuse.protocol import RESENT, Opcode
from tests.support.direct_rig import DirectRig
from tests.support.fuse_structs import request

RELEASE_BODY = bytes(24)
FORGET_BODY = bytes(8)


class Loop:
    """Takes requests as the loop does; `done` has the opcode and node of each that was answered."""

    def __init__(self):
        self.buffer = bytearray(1 << 20)
        self.view = memoryview(self.buffer)
        self.done = []
        self.facade = Facade(0, Polling(PollingTokens(0)))
        self.aside = Aside(self._answer, self.facade)

    def take(self, opcode, node=5, body=b"", unique=2):
        message = request(opcode, body, node=node, unique=unique, uid=0, gid=0)
        self.buffer[: len(message)] = message
        self.aside.take(self.buffer, self.view, len(message))

    def _answer(self, buffer, view, length):
        assert view.obj is buffer
        assert int.from_bytes(buffer[:4], "little") == length
        node = int.from_bytes(buffer[16:24], "little")
        self.done.append((int.from_bytes(buffer[4:8], "little"), node))


@pytest.fixture
def loop():
    return Loop()


def test_what_nobody_waits_for_is_done_after_the_next_answer(loop):
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    assert loop.done == []
    loop.take(Opcode.OPEN, 6, bytes(8))
    assert loop.done == [(Opcode.OPEN, 6), (Opcode.RELEASE, 5)]
    loop.take(Opcode.GETATTR, 6, bytes(16))
    assert loop.done[2:] == [(Opcode.GETATTR, 6)]


def test_the_order_of_what_nobody_waits_for_is_kept(loop):
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    loop.take(Opcode.FORGET, 5, FORGET_BODY)
    assert loop.done == [(Opcode.RELEASE, 5)]
    loop.take(Opcode.RELEASEDIR, 6, RELEASE_BODY)
    assert loop.done == [(Opcode.RELEASE, 5), (Opcode.FORGET, 5)]
    loop.aside.finish()
    loop.aside.finish()
    assert loop.done[2:] == [(Opcode.RELEASEDIR, 6)]


@pytest.mark.parametrize(
    ("opcode", "node", "body"),
    [
        (Opcode.OPEN, 5, bytes(8)),  # the same file: whether it is open decides what it is given
        (Opcode.READ, CONTROL_BIT | 3, bytes(40)),
        (Opcode.LOOKUP, CONTROL_BIT | 3, b"drop\0"),
        (Opcode.IOCTL, 6, bytes(32)),
        (Opcode.FSYNC, 6, bytes(16)),
        (Opcode.BATCH_FORGET, 0, bytes(8)),
        (Opcode.DESTROY, 0, b""),
        (Opcode.OPEN | 1 << 8, 6, bytes(8)),
    ],
)
def test_what_may_depend_on_it_comes_after_it(loop, opcode, node, body):
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    loop.take(opcode, node, body)
    assert loop.done == [(Opcode.RELEASE, 5), (opcode, node)]


def test_a_directory_may_be_listed_again_before_its_last_listing_is_closed(loop):
    loop.take(Opcode.RELEASEDIR, 5, RELEASE_BODY)
    loop.take(Opcode.OPENDIR, 5, bytes(8))
    assert loop.done == [(Opcode.OPENDIR, 5), (Opcode.RELEASEDIR, 5)]


@pytest.mark.parametrize(
    ("opcode", "node", "body", "unique"),
    [
        (Opcode.RELEASE, CONTROL_BIT | 3, RELEASE_BODY, 2),
        (Opcode.RELEASE, 5, RELEASE_BODY, 2 | RESENT),
        (Opcode.RELEASE, 5, bytes(25), 2),
        (Opcode.RELEASE | 1 << 16, 5, RELEASE_BODY, 2),
        (Opcode.FORGET, 5, b"", 2),
        (Opcode.BATCH_FORGET, 5, FORGET_BODY, 2),
    ],
)
def test_what_is_not_put_aside(loop, opcode, node, body, unique):
    loop.take(opcode, node, body, unique)
    assert loop.done == [(opcode, node)]


def test_what_is_sent_again_comes_after_it(loop):
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    loop.take(Opcode.GETATTR, 6, bytes(16), 4 | RESENT)
    assert loop.done == [(Opcode.RELEASE, 5), (Opcode.GETATTR, 6)]


def test_nothing_is_put_aside_where_requests_are_there_one_after_the_other(loop):
    loop.facade.was_there = True
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    assert loop.done == [(Opcode.RELEASE, 5)]


def test_what_is_put_aside_is_done_also_when_that_has_changed(loop):
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    loop.facade.was_there = True
    loop.take(Opcode.RELEASE, 6, RELEASE_BODY)
    assert loop.done == [(Opcode.RELEASE, 5), (Opcode.RELEASE, 6)]


def test_a_mistake_in_an_answer_does_not_bring_it_again(loop):
    loop.take(Opcode.RELEASE, 5, RELEASE_BODY)
    loop.aside._answer = lambda *_: 1 / 0  # noqa: SLF001 - as if the handler had failed
    with pytest.raises(ZeroDivisionError):
        loop.aside.finish()
    loop.aside.finish()


async def test_a_loop_that_has_nothing_to_read_does_it_before_it_sleeps(tmp_path):
    rig = DirectRig(tmp_path / "store")
    node = rig.make(ROOT_NODE, "f")
    rig.state.nodes.counts.add(node)
    async with rig.running():
        rig.kernel_side.send(request(Opcode.OPEN, bytes(8), node=node, unique=4, uid=0, gid=0))
        _, error, body = await rig.answered()
        assert error == 0
        handle = struct.unpack_from("<Q", body)[0]
        release = struct.pack("<QIIQ", handle, 0, 0, 0)
        rig.kernel_side.send(request(Opcode.RELEASE, release, node=node, unique=6, uid=0, gid=0))
        with trio.fail_after(5):
            assert await rig.answered() == (6, 0, b"")
        assert not rig.state.handles.is_open(node)
    rig.close()
