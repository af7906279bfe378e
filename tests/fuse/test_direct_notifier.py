"""What is told to the kernel unasked, as bytes on the device."""

import errno

import pytest

from pyi_fs.fuse import protocol
from pyi_fs.fuse.direct_notifier import DirectNotifier
from pyi_fs.ids import NodeId
from tests.support.direct_rig import DirectRig
from tests.support.fuse_structs import OutHeader


@pytest.fixture
def rig(tmp_path):
    """Gives the transport of a new workspace."""
    rig = DirectRig(tmp_path / "store")
    yield rig
    rig.close()


def test_notifier_writes_to_the_device_and_minds_nothing_unknown(rig, monkeypatch):
    notifier = DirectNotifier(rig.transport_fd)
    notifier.attributes(NodeId(5))
    assert rig.kernel_side.recv(100) == protocol.forget_attributes(5)
    notifier.store(NodeId(5), memoryview(b"content"))
    assert rig.kernel_side.recv(100) == protocol.store_header(5, 7) + b"content"
    notifier.listing(NodeId(5))
    assert rig.kernel_side.recv(100) == protocol.forget_pages(5)
    notifier.entry(NodeId(1), b"name")
    assert rig.kernel_side.recv(100) == protocol.forget_entry(1, b"name")
    notifier.epoch()
    assert rig.kernel_side.recv(100) == bytes(OutHeader(16, 8, 0))

    def write(*_):
        raise FileNotFoundError(errno.ENOENT, "not in the cache")

    monkeypatch.setattr("pyi_fs.fuse.direct_notifier.os.write", write)
    notifier.attributes(NodeId(5))
    monkeypatch.setattr("pyi_fs.fuse.direct_notifier.os.writev", write)
    notifier.store(NodeId(5), b"content")


@pytest.mark.parametrize("has_epoch", [True, False])
def test_notifier_believes_the_kernel_not_its_version(rig, monkeypatch, has_epoch):
    monkeypatch.setattr("pyi_fs.fuse.direct_notifier.fuse_device.has_epoch", lambda: True)
    monkeypatch.setattr("pyi_fs.fuse.direct_notifier.fuse_device.notify_epoch", lambda _: has_epoch)
    notifier = DirectNotifier(rig.transport_fd)
    notifier.probe()
    assert notifier.has_epoch is has_epoch
