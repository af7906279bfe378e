"""Notifications to the kernel, written to the device of a mount that speaks the protocol itself."""

import logging
import os

from pyi_fs.fuse import device as fuse_device
from pyi_fs.fuse import protocol
from pyi_fs.ids import Buffer, NodeId

log = logging.getLogger(__name__)


class DirectNotifier:
    """Implements `invalidation.Notifier` on the device."""

    def __init__(self, device: int) -> None:
        """Takes a descriptor that stays the transport's."""
        self._device = device
        self._has_epoch = fuse_device.has_epoch()

    @property
    def has_epoch(self) -> bool:
        """Returns whether `epoch` works."""
        return self._has_epoch

    def probe(self) -> None:
        """Finds out whether the kernel takes an epoch, whatever its version says."""
        self._has_epoch = self._has_epoch and fuse_device.notify_epoch(self._device)

    def epoch(self) -> None:
        """Has every name looked up again."""
        fuse_device.notify_epoch(self._device)

    def store(self, node: NodeId, data: Buffer) -> None:
        """Puts the first bytes of a file into the kernel's cache."""
        try:
            os.writev(self._device, (protocol.store_header(node, len(data)), data))
        except OSError as error:
            # A courtesy: the kernel asks for what it has not got.
            log.debug("node %d is not filled: %s", node, error)

    def attributes(self, node: NodeId) -> None:
        """Has the attributes of a node asked for again."""
        self._tell(protocol.forget_attributes(node))

    def listing(self, node: NodeId) -> None:
        """Has a directory asked for its attributes and listed again."""
        self._tell(protocol.forget_pages(node))

    def entry(self, parent: NodeId, name: bytes) -> None:
        """Has one name looked up again."""
        self._tell(protocol.forget_entry(parent, name))

    def _tell(self, notification: bytes) -> None:
        try:
            os.write(self._device, notification)
        except FileNotFoundError:
            log.debug("what changed is not in the kernel's cache")
