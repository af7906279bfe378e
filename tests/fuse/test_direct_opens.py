"""OPEN and RELEASE through the direct transport, in the kernel's own structures."""

import errno
import os

import pytest

from pyi_fs.engine.gc_settings import write_settings
from pyi_fs.fuse.passthrough import Passthrough
from pyi_fs.fuse.protocol import Opcode, OpenFlag
from tests.support.direct_rig import DirectRig
from tests.support.engine_rig import noise, opened
from tests.support.fuse_structs import OpenIn, OpenOut, request
from tests.support.plain_rig import ANY_ROOM, sealed

DATA = noise(300_000)


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """Gives the transport, as if we might, with a sealed snapshot behind it."""
    monkeypatch.setattr("pyi_fs.fuse.direct_transport.is_permitted", lambda: True)
    with opened(tmp_path / "store") as store:
        sealed(store, (b"f", DATA))
        write_settings(store.storage, ANY_ROOM)
    rig = DirectRig(tmp_path / "store")
    yield rig
    rig.close()


def test_live_files_are_cached_and_control_files_are_not(rig):
    node = rig.lookup("f").nodeid
    assert rig.opened(node).open_flags == OpenFlag.KEEP_CACHE
    control = rig.lookup(".pyi").nodeid
    status = rig.lookup("status", control).nodeid
    assert rig.opened(status).open_flags == OpenFlag.DIRECT_IO


def test_a_released_file_is_closed_and_a_stranger_is_none(rig):
    handle = rig.opened(rig.lookup("f").nodeid).fh
    body = handle.to_bytes(24, "little")
    for _ in range(2):
        assert rig.ask(Opcode.RELEASE, body) == (0, b"")
        assert list(rig.state.handles.open_files()) == []


async def test_a_kernel_that_takes_no_ids_gets_ordinary_opens(rig, caplog):
    """The socket in the place of the device refuses: said once, and nobody's open fails."""
    async with rig.running():
        assert rig.transport.passed_through == 0
        snapshot = rig.workspace.refs.ordered()[-1].id
        node = rig.node(f".pyi/snapshots/{snapshot}/f")
        for _ in range(2):
            body = bytes(OpenIn(os.O_RDONLY, 0))
            rig.kernel_side.send(request(Opcode.OPEN, body, node=node, unique=8))
            unique, error, answer = await rig.answered()
            assert (unique, error) == (8, 0)
            assert OpenOut.from_buffer_copy(answer).open_flags == OpenFlag.KEEP_CACHE
        assert rig.transport.passed_through is None
        (record,) = caplog.records
        assert "files are not passed through from now on" in record.message


@pytest.mark.parametrize(
    "name",
    ["prepare", "attach", "released", "_is_known", "_asked_for", "_look_for", "_note", "_opened"],
)
async def test_whatever_fails_the_mount_lives_on_and_nothing_stays_open(
    rig, monkeypatch, caplog, name
):
    """As `test_injected.py`, which has no sealed files: an `EIO` at most, and it is told."""
    original, failing = getattr(Passthrough, name), ["once"]

    def fail(*arguments):
        if failing:
            failing.pop()
            raise ZeroDivisionError("injected")
        return original(*arguments)

    monkeypatch.setattr(Passthrough, name, fail)
    async with rig.running():
        snapshot = rig.workspace.refs.ordered()[-1].id
        node = rig.node(f".pyi/snapshots/{snapshot}/f")
        errors = []
        for _ in range(3):
            open_it = request(Opcode.OPEN, bytes(OpenIn(os.O_RDONLY, 0)), node=node, unique=8)
            rig.kernel_side.send(open_it)
            _, error, answer = await rig.answered()
            errors.append(error)
            if not error:
                body = OpenOut.from_buffer_copy(answer).fh.to_bytes(24, "little")
                rig.kernel_side.send(request(Opcode.RELEASE, body, node=node, unique=10))
                errors.append((await rig.answered())[1])
        assert not failing
        assert errors.count(errno.EIO) <= 1
        assert set(errors) <= {0, errno.EIO}
        assert list(rig.state.handles.open_files()) == []
        assert "BUG" in caplog.text
        assert not rig.is_ended
