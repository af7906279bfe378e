"""Control commands by ioctl, in the kernel's own structures, without a kernel."""

import ctypes
import errno
import os
import threading

import pytest
import trio

from pyi_fs.control import ioctls
from pyi_fs.control.files import FILES
from pyi_fs.fuse.protocol import Opcode
from tests.support import fuse_structs as structs
from tests.support.direct_rig import DirectRig
from tests.support.fuse_structs import request

OUT_BYTES = ctypes.sizeof(structs.IoctlOut)
GETFLAGS = 0x80086601


@pytest.fixture
def rig(tmp_path):
    """Gives the transport of a new workspace."""
    rig = DirectRig(tmp_path / "store")
    yield rig
    rig.close()


def ioctl_body(handle, number, text=b"", *, room=ioctls.TEXT_BYTES):
    """Returns an IOCTL as the kernel makes it of a restricted ioctl."""
    data = text.ljust(ioctls.TEXT_BYTES, b"\0")
    return bytes(structs.IoctlIn(handle, 0, number, 0x7FFF0000, len(data), room)) + data


class Asked:
    """What came of an ioctl: errno of the request, result, and what was handed out."""

    def __init__(self, answer):
        self.unique, self.error, body = answer
        self.result = None
        if not self.error:
            self.result = structs.IoctlOut.from_buffer_copy(body).result
            self.array = body[OUT_BYTES:]
            self.text = self.array.rstrip(b"\0").decode()


async def ioctl(rig, handle, number, text=b"", *, room=ioctls.TEXT_BYTES):
    """Returns what an ioctl on an open handle is answered, with the loop running."""
    body = ioctl_body(handle, number, text, room=room)
    rig.kernel_side.send(request(Opcode.IOCTL, body, unique=1000))
    return Asked(await rig.answered())


async def test_snapshot_restore_and_fork_on_an_open_file(rig):
    await rig.write("f", b"first")
    handle = rig.opened(rig.node("f")).fh
    async with rig.running():
        taken = await ioctl(rig, handle, ioctls.SNAPSHOT)
        assert taken.result == 0
        assert taken.text.endswith("\t+1 ~0 -0\n")
        named = await ioctl(rig, handle, ioctls.SNAPSHOT, b"good\na message")
        first = taken.text.split("\t")[0]
        assert (named.result, named.text) == (0, f"{first}\tunchanged\n")
        await rig.write("f", b"later")
        assert (await ioctl(rig, handle, ioctls.RESTORE, b"good\n")).text == f"{first}\n"
        assert (await ioctl(rig, handle, ioctls.FORK, b"fork good")).text == "fork\n"
    assert await rig.read("f") == b"first"
    assert rig.store.workspace_names() == ["fork", "w"]
    assert rig.workspace.refresh().find_snapshot("good").message == "a message"


async def test_a_refusal_brings_its_sentence(rig):
    handle = rig.opened(1, opcode=Opcode.OPENDIR).fh
    async with rig.running():
        refused = await ioctl(rig, handle, ioctls.RESTORE, b"nothing")
        assert (refused.error, refused.result) == (0, -errno.ENOENT)
        assert "nothing" in refused.text
        assert await rig.read(".pyi/error") == refused.array.rstrip(b"\0")
        for number in (ioctls.RESTORE, ioctls.FORK):
            refused = await ioctl(rig, handle, number)
            assert (refused.result, refused.text[:20]) == (-errno.EINVAL, "nothing was written:")
        taken = await ioctl(rig, handle, ioctls.FORK, b"w")
        assert (taken.result, taken.text) == (-errno.EEXIST, "workspace 'w' exists\n")


async def test_a_disk_that_is_full_is_an_errno_and_a_sentence_in_error(rig, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    handle = rig.opened(1, opcode=Opcode.OPENDIR).fh
    monkeypatch.setitem(FILES, b"fork", FILES[b"fork"]._replace(write=full))
    async with rig.running():
        assert (await ioctl(rig, handle, ioctls.FORK, b"fork")).error == errno.ENOSPC
    assert await rig.read(".pyi/error") == b"the store could not do it: full\n"


@pytest.mark.parametrize("number", [GETFLAGS, 0, 0xFFFFFFFF, ioctls.SNAPSHOT - 1, ioctls.MOUNT + 1])
def test_every_other_ioctl_is_enotty(rig, number):
    handle = rig.opened(1, opcode=Opcode.OPENDIR).fh
    body = bytes(structs.IoctlIn(handle, 0, number, 0, 0, 8))
    assert rig.ask(Opcode.IOCTL, body) == (errno.ENOTTY, b"")


async def test_odd_requests_harm_nothing(rig):
    handle = rig.opened(1, opcode=Opcode.OPENDIR).fh
    async with rig.running():
        assert (await ioctl(rig, 999, ioctls.SNAPSHOT)).result == -errno.EINVAL
        for room in (0, 1, 10, 1 << 31):
            found = await ioctl(rig, handle, ioctls.SNAPSHOT, b"1bad", room=room)
            assert found.result == -errno.EINVAL
            assert len(found.array) == min(room, ioctls.TEXT_BYTES)


async def test_requests_go_on_while_a_fork_waits_for_the_disk(rig, monkeypatch):
    may_go, began = threading.Event(), threading.Event()
    write = FILES[b"fork"].write
    assert write is not None

    def slow(*arguments):
        began.set()
        assert may_go.wait(20)
        return write(*arguments)

    monkeypatch.setitem(FILES, b"fork", FILES[b"fork"]._replace(write=slow))
    await rig.write("f", b"1")
    handle = rig.opened(rig.node("f"), os.O_RDONLY).fh
    async with rig.running():
        body = ioctl_body(handle, ioctls.FORK, b"fork")
        rig.kernel_side.send(request(Opcode.IOCTL, body, unique=100))
        await trio.to_thread.run_sync(began.wait, 20)
        rig.kernel_side.send(request(Opcode.GETATTR, bytes(16), unique=102))
        assert (await rig.answered())[:2] == (102, 0)
        may_go.set()
        assert Asked(await rig.answered()).text == "fork\n"
