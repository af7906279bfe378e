"""The loop: INIT, answers, tasks, interrupts, and everything a kernel should never send."""

import errno
import os
import threading

import pytest
import trio

from pyi_fs.errors import UnsupportedError
from pyi_fs.fuse import direct_transport
from pyi_fs.fuse.protocol import InitFlag, Opcode
from tests.support import fuse_structs as structs
from tests.support.direct_rig import OFFERED, DirectRig, init
from tests.support.fuse_structs import InitOut, OutHeader, request


@pytest.fixture
def rig(tmp_path):
    """Gives the transport of a new workspace."""
    rig = DirectRig(tmp_path / "store")
    yield rig
    rig.close()


def greet(rig, message):
    """Returns the answer to an INIT."""
    rig.put(message)
    _, error, body = rig.answer()
    return error, InitOut.from_buffer_copy(body) if body else None


def test_init_takes_what_is_wanted_of_what_is_offered(rig):
    error, taken = greet(rig, init())
    flags = taken.flags | taken.flags2 << 32
    assert error == 0
    assert (taken.major, taken.minor, taken.max_write) == (7, 45, 1 << 20)
    assert flags & InitFlag.HANDLE_KILLPRIV_V2
    assert flags & InitFlag.CACHE_SYMLINKS
    for unwanted in (InitFlag.AUTO_INVAL_DATA, InitFlag.WRITEBACK_CACHE, InitFlag.HAS_RESEND):
        assert not flags & unwanted


def test_init_of_an_old_kernel_is_offered_nothing_new(rig):
    error, taken = greet(rig, init(31, InitFlag.ASYNC_READ | InitFlag.BIG_WRITES))
    assert error == 0
    assert (taken.minor, taken.flags, taken.flags2) == (31, 0b100001, 0)


def test_the_writeback_cache_is_taken_where_it_is_asked_for(tmp_path):
    rig = DirectRig(tmp_path / "store", writeback=True)
    _, taken = greet(rig, init())
    assert taken.flags & InitFlag.WRITEBACK_CACHE
    rig.close()


@pytest.mark.parametrize(
    ("permitted", "writeback", "offered", "is_taken"),
    [
        (True, False, True, True),
        (False, False, True, False),
        (True, True, True, False),
        (True, False, False, False),
    ],
)
def test_passthrough_is_taken_where_it_can_be(
    tmp_path, monkeypatch, permitted, writeback, offered, is_taken
):
    """With the depth of stacking that goes with it; the kernel refuses it beside writeback."""
    monkeypatch.setattr(direct_transport, "is_permitted", lambda: permitted)
    rig = DirectRig(tmp_path / "store", writeback=writeback)
    flags = OFFERED if offered else OFFERED & ~InitFlag.PASSTHROUGH
    _, taken = greet(rig, init(flags=flags))
    assert bool((taken.flags | taken.flags2 << 32) & InitFlag.PASSTHROUGH) == is_taken
    assert taken.max_stack_depth == int(is_taken)
    assert rig.transport.passed_through == (0 if is_taken else None)
    rig.close()


def test_a_second_init_is_refused_and_the_first_stands(rig):
    greet(rig, init())
    assert greet(rig, init())[0] == errno.EIO


async def test_a_kernel_that_is_too_old_ends_with_a_sentence(rig):
    rig.kernel_side.send(init(30))
    with pytest.raises(UnsupportedError, match=r"7\.30"):
        await rig.run()
    assert rig.answer()[1] == errno.EPROTO
    assert rig.greeted == 0


async def test_a_kernel_of_a_later_major_version_is_asked_to_speak_ours(rig):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        rig.kernel_side.send(init(0, major=8))
        _, error, body = await rig.answered()
        assert (error, InitOut.from_buffer_copy(body).major) == (0, 7)
        assert rig.greeted == 0
        rig.kernel_side.send(init())
        await rig.answered()
        assert rig.greeted == 1
        rig.transport.stop()


async def test_requests_are_answered_until_the_device_ends(rig):
    async with rig.running():
        rig.kernel_side.send(request(Opcode.GETATTR, bytes(16), unique=100))
        unique, error, body = await rig.answered()
        assert (unique, error, len(body)) == (100, 0, 104)
        rig.kernel_side.close()
        with trio.fail_after(20):
            while not rig.is_ended:
                await trio.testing.wait_all_tasks_blocked()
    assert rig.greeted == 1


async def test_a_request_that_cannot_be_read_is_not_the_end_of_the_mount(rig, monkeypatch, caplog):
    original, failing = os.readv, [errno.ENOMEM, errno.EIO, errno.EINTR, errno.ENOENT]

    def readv(*arguments):
        if failing:
            raise OSError(failing.pop(), "this time")
        return original(*arguments)

    monkeypatch.setattr("pyi_fs.fuse.direct_transport.os.readv", readv)
    async with rig.running():
        assert not failing
        rig.kernel_side.send(request(Opcode.GETATTR, bytes(16), unique=100))
        assert (await rig.answered())[:2] == (100, 0)
    # No memory is nobody's fault here.
    assert len(caplog.records) == 1


async def test_a_device_that_gives_only_errors_is_given_up(rig, monkeypatch):
    def readv(*_):
        raise OSError(errno.EIO, "always")

    monkeypatch.setattr("pyi_fs.fuse.direct_transport.os.readv", readv)
    monkeypatch.setattr(direct_transport, "_FAILURES_MAX", 3)
    rig.kernel_side.send(init())
    with pytest.RaisesGroup(OSError):
        await rig.run()


@pytest.mark.parametrize("opcode", [7, 25, 31, 34, 37, 40, 48, 50, 60, 4096, 0xFFFFFFFF, 0])
def test_what_nobody_knows_is_enosys(rig, opcode):
    assert rig.ask(opcode, bytes(48)) == (errno.ENOSYS, b"")


def test_what_wants_no_answer_gets_none(rig):
    for opcode, body in (
        (Opcode.FORGET, bytes(8)),
        (Opcode.FORGET, b"short"),
        (Opcode.BATCH_FORGET, b"\xff" * 8),
        (Opcode.INTERRUPT, (4).to_bytes(8, "little")),
        (Opcode.NOTIFY_REPLY, bytes(40)),
    ):
        rig.put(request(opcode, body))
        assert rig.answer() is None


def test_destroy_is_answered(rig):
    assert rig.ask(Opcode.DESTROY) == (0, b"")


def test_a_malformed_body_is_eio_to_its_caller_and_logged_once(rig, caplog):
    for _ in range(3):
        assert rig.ask(Opcode.LOOKUP, b"no terminator") == (errno.EIO, b"")
    assert len(caplog.records) == 1
    assert rig.ask(Opcode.GETATTR, bytes(16))[0] == 0


def test_a_header_that_lies_is_eio_and_one_that_is_cut_off_is_dropped(rig):
    message = bytearray(request(Opcode.GETATTR, bytes(16), unique=8))
    message[0] += 1
    rig.put(bytes(message))
    assert rig.answer() == (8, errno.EIO, b"")
    rig.put(b"x" * 39)
    assert rig.answer() is None


def test_extensions_behind_a_body_are_no_part_of_it(rig):
    message = bytearray(request(Opcode.LOOKUP, b"x\0" + b"\1" * 8, unique=8))
    message[36:38] = (1).to_bytes(2, "little")
    rig.put(bytes(message))
    assert rig.answer()[1] == 0


def test_a_bug_in_a_handler_is_eio_and_the_loop_goes_on(rig, caplog, monkeypatch):
    monkeypatch.setattr(rig.state.session.root, "source", None)
    monkeypatch.setattr(type(rig.state.nodes), "place", lambda *_: 1 // 0)
    assert rig.ask(Opcode.OPEN, bytes(8)) == (errno.EIO, b"")
    assert "BUG: open failed" in caplog.text
    monkeypatch.undo()
    assert rig.ask(Opcode.GETATTR, bytes(16))[0] == 0


def test_an_answer_that_the_kernel_refuses_becomes_eio(rig, caplog, monkeypatch):
    sent = []

    def write(_, message):
        sent.append(bytes(message))
        if len(message) > 16:
            raise OSError(errno.EINVAL, "no such form")

    monkeypatch.setattr("pyi_fs.fuse.direct_transport.os.write", write)
    rig.put(request(Opcode.GETATTR, bytes(16), unique=8))
    assert sent[1] == bytes(OutHeader(16, -errno.EIO, 8))
    assert "BUG: the kernel refuses" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_an_answer_that_nobody_waits_for_any_more_is_dropped(rig, caplog, monkeypatch, number):
    def write(*_):
        raise OSError(number, "gone")

    monkeypatch.setattr("pyi_fs.fuse.direct_transport.os.write", write)
    rig.put(request(Opcode.GETATTR, bytes(16)))
    assert not caplog.records


def test_requests_are_counted_by_name(rig):
    rig.ask(Opcode.GETATTR, bytes(16))
    rig.ask(Opcode.GETATTR, bytes(16))
    rig.ask(77)
    assert rig.transport.requests == {"getattr": 2, "opcode 77": 1}


class SlowRead:
    """Reads that wait until they are let go, instead of finding their bytes at hand."""

    def __init__(self, rig, monkeypatch):
        self.may_go = threading.Event()
        self.began = threading.Event()
        files = type(rig.files)
        original = files._read_blocking  # noqa: SLF001 - the thread is what is slowed down

        def read(handlers, *arguments):
            self.began.set()
            assert self.may_go.wait(20)
            return original(handlers, *arguments)

        monkeypatch.setattr(files, "read_now", lambda *_: None)
        monkeypatch.setattr(files, "_read_blocking", read)


async def prepared(rig, monkeypatch):
    """Returns a slow read of an open file: what lets it go, and the request."""
    await rig.write("f", b"slow bytes")
    handle = rig.opened(rig.node("f")).fh
    body = bytes(structs.ReadIn(handle, 0, 4096, 0, 0, 0, 0))
    return SlowRead(rig, monkeypatch), body, rig.node("f")


async def test_a_slow_read_holds_nobody_up(rig, monkeypatch):
    slow, body, node = await prepared(rig, monkeypatch)
    async with rig.running():
        rig.kernel_side.send(request(Opcode.READ, body, node=node, unique=100))
        await trio.to_thread.run_sync(slow.began.wait, 20)
        for unique in range(102, 302, 2):
            rig.kernel_side.send(request(Opcode.GETATTR, bytes(16), unique=unique))
            assert (await rig.answered())[:2] == (unique, 0)
        slow.may_go.set()
        assert await rig.answered() == (100, 0, b"slow bytes")


async def test_a_dying_caller_does_not_wait_for_its_read_and_others_do(rig, monkeypatch):
    slow, body, node = await prepared(rig, monkeypatch)
    dying = []
    monkeypatch.setattr(direct_transport, "is_dying", lambda thread: thread in dying)
    async with rig.running():
        rig.kernel_side.send(request(Opcode.READ, body, node=node, unique=100, pid=4321))
        await trio.to_thread.run_sync(slow.began.wait, 20)
        interrupt = request(Opcode.INTERRUPT, (100).to_bytes(8, "little"), unique=101)
        rig.kernel_side.send(interrupt)
        rig.kernel_side.send(request(Opcode.GETATTR, bytes(16), unique=102))
        assert (await rig.answered())[:2] == (102, 0)
        dying.append(4321)
        rig.kernel_side.send(interrupt)
        assert await rig.answered() == (100, errno.EINTR, b"")
        slow.may_go.set()


async def test_a_sync_that_fails_says_so_and_control_files_wait(rig, monkeypatch):
    await rig.write("f", b"x")
    handle = rig.opened(rig.node("f"), os.O_WRONLY).fh
    control = rig.opened(rig.lookup("snapshot", rig.lookup(".pyi").nodeid).nodeid)
    assert control.open_flags == 1

    def full():
        raise OSError(errno.ENOSPC, "full")

    async with rig.running():
        monkeypatch.setattr(rig.branch, "sync", full)
        rig.kernel_side.send(request(Opcode.FSYNC, handle.to_bytes(16, "little"), unique=100))
        assert await rig.answered() == (100, errno.ENOSPC, b"")
        body = bytes(structs.ReadIn(control.fh, 0, 4096, 0, 0, 0, 0))
        rig.kernel_side.send(request(Opcode.READ, body, node=1 << 39, unique=102))
        unique, error, line = await rig.answered()
        assert (unique, error) == (102, 0)
        assert line.endswith(b"+1 ~0 -0\n")


async def test_a_command_that_waits_for_nothing_is_answered_at_once(rig):
    """No loop runs here that could give it a task: two wake-ups of one were most of its time."""
    handle = rig.opened(rig.lookup("snapshot", rig.lookup(".pyi").nodeid).nodeid).fh
    body = bytes(structs.ReadIn(handle, 0, 4096, 0, 0, 0, 0))
    error, line = rig.ask(Opcode.READ, body, node=1 << 39)
    assert (error, line[:2]) == (0, b"1-")
    handle = rig.opened(rig.lookup("branch", rig.lookup(".pyi").nodeid).nodeid, os.O_WRONLY).fh
    body = bytes(structs.WriteIn(handle, 0, 3, 0, 0, 0, 0)) + b"dev"
    assert rig.ask(Opcode.WRITE, body, node=1 << 39)[0] == 0
    assert rig.ask(Opcode.WRITE, body, node=1 << 39)[0] == errno.EEXIST
    assert rig.workspace.refresh().branch_names() == ["dev", "main"]


async def test_a_restore_is_answered_when_the_kernel_has_been_told_each_name(rig):
    """Without epochs a thread tells them, which takes the locks of directories."""
    rig.kernel.has_epoch = False
    snapshot = await rig.snapshot()
    await rig.write("new", b"x")
    rig.lookup("new")
    handle = rig.opened(rig.lookup("restore", rig.lookup(".pyi").nodeid).nodeid, os.O_WRONLY).fh
    body = bytes(structs.WriteIn(handle, 0, len(snapshot), 0, 0, 0, 0)) + snapshot.encode()
    async with rig.running():
        rig.kernel_side.send(request(Opcode.WRITE, body, node=1 << 39, unique=100))
        assert (await rig.answered())[:2] == (100, 0)
        assert (1, b"new") in rig.kernel.entries
