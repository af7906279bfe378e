"""What we rely on of the kernel, on a device that the test serves itself, request by request."""

import os
import select
import subprocess
import sys

import pytest

from pyi_fs.fuse import protocol
from pyi_fs.fuse import protocol_replies as replies
from pyi_fs.fuse.device import DeviceOptions, mount, unmount_command
from pyi_fs.fuse.protocol import InitFlag, Opcode

pytestmark = pytest.mark.mount

ROOT = 1
FOREVER = 10**8
PATIENCE_MS = 30_000
STAT = "import os, sys; print(os.stat(sys.argv[1]).st_size)"


class Kernel:
    """A mount whose requests are answered by the test, and programs that use it."""

    def __init__(self, mountpoint):
        self.mounted = mount(mountpoint, DeviceOptions("rules"))
        self.device = self.mounted.device
        unique, opcode = self.asked()
        assert opcode == Opcode.INIT
        flags = InitFlag.ASYNC_READ
        self.answer(unique, protocol.init_reply(45, flags, 131072, background_max=8, congestion=8))

    def close(self):
        subprocess.run(unmount_command(self.mounted.mountpoint), check=True)
        # With the last descriptor goes the connection, and whoever still waits has an error.
        os.close(self.device)

    def asked(self):
        """Returns number and opcode of the next request that somebody waits for."""
        poll = select.poll()
        poll.register(self.device, select.POLLIN)
        while True:
            assert poll.poll(PATIENCE_MS), "nothing was asked"
            message = os.read(self.device, protocol.REQUEST_BYTES_MAX)
            header = protocol.header(message, len(message))
            if header[1] not in (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT):
                return header[2], header[1]

    def answer(self, unique, body):
        os.write(self.device, protocol.answer_header(unique, len(body)) + body)

    def answer_size(self, unique, size):
        """Answers a GETATTR of the root: to be kept."""
        words = (ROOT, size, 8, 0, 0, 0, 0, 0, 0, 0o040755, 2, 0, 0, 0, 4096, 0)
        self.answer(unique, replies.attributes(FOREVER, words))

    def stat(self):
        """Has another program look at the root."""
        command = [sys.executable, "-S", "-c", STAT, str(self.mounted.mountpoint)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def stat_answered(self, size):
        """Has another program look at the root, which has to ask; returns what it sees."""
        program = self.stat()
        unique, opcode = self.asked()
        assert opcode == Opcode.GETATTR
        self.answer_size(unique, size)
        return seen(program)


def seen(program):
    """Returns what a program has found out."""
    output, _ = program.communicate(timeout=PATIENCE_MS / 1000)
    return int(output)


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()


def test_attributes_are_kept_as_long_as_the_answer_said(kernel):
    assert kernel.stat_answered(1111) == 1111
    assert seen(kernel.stat()) == 1111


def test_an_answer_to_who_asked_before_a_notification_is_not_kept(kernel):
    # That is what makes `fuse/told.py` right: whoever comes to put it away is too late.
    late = kernel.stat()
    unique, opcode = kernel.asked()
    assert opcode == Opcode.GETATTR
    os.write(kernel.device, protocol.forget_attributes(ROOT))
    kernel.answer_size(unique, 1111)
    assert seen(late) == 1111
    assert kernel.stat_answered(2222) == 2222
    assert seen(kernel.stat()) == 2222
