"""What an open branch needs from its workspace.

Layers to write to, fresh inode numbers, durability of the log.
"""

import errno
import time
from contextlib import suppress
from functools import partial

from pyi_fs.engine.afterwards import Afterwards
from pyi_fs.errors import NoSpaceError, NotFoundError
from pyi_fs.format.record import FORMAT_VERSION, LayerHeader
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, WorkspaceName
from pyi_fs.limits import INODE_NUMBER_MAX
from pyi_fs.model.operation import Continue, Operation, Reserve
from pyi_fs.model.refs import Refs
from pyi_fs.store.layer_writer import LayerWriter
from pyi_fs.store.layers import Layers
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.promotion import MEMORY_BOOT, SPILLED_BOOT
from pyi_fs.store.reserve import with_reserve


class LayerServices:
    """The services of one workspace's branches; what a `Branch` works through."""

    def __init__(
        self, layers: Layers, log: OperationsLog, workspace: WorkspaceName, boot: str
    ) -> None:
        """Works through the given parts; `boot` goes into the headers of new layers."""
        self._layers = layers
        self._log = log
        self._workspace = workspace
        self._boot = boot
        self.afterwards = Afterwards()
        """What the commands of this workspace leave to do."""

    def open_layer(
        self,
        branch: BranchName,
        position: Position,
        *,
        resumable: bool,
        is_ephemeral: bool = False,
        on_disk: bool = False,
    ) -> LayerWriter:
        """Opens the layer a branch's next mutation goes to, and notes a new one in the log.

        `resumable`: the position is the end of a layer that may be appended to. That of an
        ephemeral branch is in memory, unless `on_disk` or there is no room.
        """
        opening = self._resumed if resumable else self._begun
        if is_ephemeral and not resumable:
            opening = partial(self._begun_ephemeral, on_disk=on_disk)
        # What is to be removed on a full disk may be the first change of a mount.
        return with_reserve(self._layers.storage, partial(opening, branch, position))

    def _resumed(self, _: BranchName, position: Position) -> LayerWriter:
        return self._layers.resume(position.layer, position.offset)

    def _begun(self, branch: BranchName, position: Position) -> LayerWriter:
        return self._noted(branch, self._on_disk(branch, position, self._boot))

    def _on_disk(self, branch: BranchName, position: Position, boot: str) -> LayerWriter:
        spare = self._layers.spares.take()
        if spare is not None:
            with suppress(FileNotFoundError):
                # Somebody may have tidied up in the store.
                return self._created(spare, branch, position, boot, is_spare=True)
        return self._created(self._layers.new_directory(), branch, position, boot)

    def _begun_ephemeral(
        self, branch: BranchName, position: Position, *, on_disk: bool
    ) -> LayerWriter:
        writer = None if on_disk else self._in_memory(branch, position)
        if writer is None:
            writer = self._on_disk(branch, position, SPILLED_BOOT + self._boot)
        return self._noted(branch, writer)

    def _noted(self, branch: BranchName, writer: LayerWriter) -> LayerWriter:
        layer = writer.layer
        try:
            self._log.append(lambda _: Continue(branch, layer))
        except BaseException:
            self._layers.abandon(layer)
            raise
        return writer

    def _in_memory(self, branch: BranchName, position: Position) -> LayerWriter | None:
        """Returns a new layer in memory, or None if it has no room."""
        try:
            layer = self._layers.new_volatile_directory()
            if layer is None:
                return None
            return self._created(layer, branch, position, MEMORY_BOOT)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return None

    def _created(
        self,
        layer: LayerId,
        branch: BranchName,
        position: Position,
        boot: str,
        *,
        is_spare: bool = False,
    ) -> LayerWriter:
        now_ns = time.time_ns()
        header = LayerHeader(
            FORMAT_VERSION, layer, position, None, now_ns, boot, self._workspace, branch
        )
        try:
            return self._layers.create(header, is_spare=is_spare)
        except BaseException:
            # Each try of a writer on a full disk would leave files, open ones too.
            self._layers.abandon(layer)
            raise

    def reserve_inodes(self, count: int) -> tuple[InodeNumber, InodeNumber]:
        """Returns a range of numbers nobody in this workspace used.

        `NoSpaceError` when 2**32 are used up.
        """

        def decide(refs: Refs) -> Operation:
            if refs.inode_end + count > INODE_NUMBER_MAX:
                raise NoSpaceError(
                    "this workspace has used all inode numbers; fork it from an export"
                )
            return Reserve(InodeNumber(refs.inode_end + count))

        taken = self._log.append(decide)
        assert isinstance(taken, Reserve)
        return InodeNumber(taken.end - count), taken.end

    def reserve_beyond(self, number: InodeNumber) -> None:
        """Makes sure that no number up to this one is given out."""
        self._log.append(lambda refs: Reserve(InodeNumber(max(refs.inode_end, number + 1))))

    def close_writer(self, writer: LayerWriter) -> None:
        """Ends the writing of a layer here."""
        self._layers.close_writer(writer)

    def sync_position(self, position: Position) -> None:
        """Makes a position durable, with all it needs. BLOCKS."""
        self._layers.sync_lineage(position)

    def is_gone(self, layer: LayerId) -> bool:
        """Returns whether a layer was collected, whatever is still known of it here."""
        return self._layers.is_gone(layer)

    def promote(self, position: Position) -> None:
        """Makes a position durable that an ephemeral branch wrote; nothing for others. BLOCKS."""
        if self._layers.is_ephemeral(position.layer):
            self._layers.sync_lineage(position)

    def secure(self, layer: LayerId) -> None:
        """Makes a layer durable that an ephemeral branch wrote; nothing for others. BLOCKS."""
        with suppress(NotFoundError):
            if self._layers.is_ephemeral(layer):
                self._layers.sync_whole(layer)

    def sync_parents(self, layer: LayerId) -> None:
        """Makes what a layer starts from durable. BLOCKS."""
        parent = self._layers.header(layer).parent
        if parent is not None:
            self._layers.sync_lineage(Position(*parent))

    def sync_lender(self, layer: LayerId) -> None:
        """Makes a layer durable that bytes came from, journal (checksums) and all. BLOCKS."""
        self._layers.sync_whole(layer)

    def leave_memory(self, branch: BranchName, position: Position) -> None:
        """Takes the layers that a branch wrote on the way to a durable position out of memory.

        The caller has the branch, and writes none of them.
        """
        step: Position | None = position
        while step is not None and self._layers.is_ephemeral(step.layer):
            header = self._layers.header(step.layer)
            if (header.workspace, header.branch) == (self._workspace, branch):
                self._layers.leave_memory(step.layer)
            step = Position(*header.parent) if header.parent is not None else None

    def sync_log(self) -> None:
        """Makes the operations log durable. BLOCKS."""
        self._log.sync()
