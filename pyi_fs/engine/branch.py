"""One branch: its current tree, and the only way to change it.

Describe, compute, append, publish, acknowledge: `commit` is a plain `def` without a yield point
between reading the tree and replacing it, so it needs no lock. Durability (`sync`) may run in a
thread beside it.

Invariants:
- `tree` is the fold of `position`.
- `since_last` covers what differs from the tree of the last snapshot (or of the branch's start).
"""

from collections.abc import Callable
from typing import Protocol

from pyi_fs import limits
from pyi_fs.engine.branch_layers import BranchLayers
from pyi_fs.engine.inode_numbers import InodeNumbers
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.services import LayerServices
from pyi_fs.engine.since_last import SinceLast
from pyi_fs.engine.superseding import note_superseded
from pyi_fs.errors import CorruptSegmentError, FileTooLargeError, ReadOnlyError
from pyi_fs.ids import BranchName, Buffer, InodeNumber, LayerId, Position, SnapshotId
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Write
from pyi_fs.model.superseded import MAY_SUPERSEDE
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Base, Tree, on_base, over
from pyi_fs.store.layer_writer import LayerWriter


class PublishListener(Protocol):
    """What a mount does when another tree becomes the current one.

    Called synchronously by `publish`.
    """

    def orphans(
        self, branch: "Branch", old: Tree, new: Tree, touched: Touched | None
    ) -> list[InodeNumber]:
        """Returns the open inodes of `old` that must live on: `new` has others in their place."""

    def published(
        self,
        branch: "Branch",
        old: Tree,
        new: Tree,
        touched: Touched | None,
        adopted: dict[InodeNumber, InodeNumber],
    ) -> None:
        """`new` is current.

        `adopted`: old number -> the number under which it lives on, unlinked, in `new`; `touched`
        None: anything differs.
        """


class Branch:
    """A branch open in this process: for writing, with its lock held, or read-only."""

    def __init__(
        self,
        services: LayerServices,
        reader: Reader,
        name: BranchName,
        tree: Tree,
        position: Position,
        *,
        resumable: bool = False,
        read_only: bool = False,
        ephemeral: bool = False,
    ) -> None:
        """Starts at a position with its tree.

        `resumable`: the position is the end of a layer that may be appended to.
        """
        self.layers = BranchLayers(
            services, name, position, resumable=resumable, is_ephemeral=ephemeral
        )
        self.reader = reader
        self.name = name
        self.tree = tree
        self.read_only = read_only
        self.generation = 0
        self.listener: PublishListener | None = None
        self.wake: Callable[[], None] | None = None
        """Called once, at the next commit; see `engine/commits.py`."""
        self.loss = ""
        """What a power loss took of it before it was opened, in a sentence; empty: nothing."""
        self.last: SnapshotId | None = None
        self.since_last = SinceLast.known(tree, Touched())
        self.records_since_base = 0
        self._records_at_roll = 0
        self.written_bytes = 0
        self._numbers = InodeNumbers(services)
        self._spare: list[InodeNumber] = []
        self._owed: list[Mutation] = []  # In the tree, and not yet in the journal.

    @property
    def position(self) -> Position:
        """Returns the position whose fold `tree` is."""
        return self.layers.position

    @property
    def writer(self) -> LayerWriter | None:
        """Returns the layer being written, or None before the first write."""
        return self.layers.writer

    @property
    def is_ephemeral(self) -> bool:
        """Returns whether a power loss may take it, whatever is synced."""
        return self.layers.is_ephemeral

    @property
    def is_synced(self) -> bool:
        """Returns whether everything acknowledged is durable (but for the operations log)."""
        return self.layers.is_synced

    @property
    def closed_layers(self) -> set[LayerId]:
        """Returns the layers written by this branch that are closed; they wait for a sealer."""
        return self.layers.closed

    def writers(self) -> list[LayerWriter]:
        """Returns the layers open here: those left by a publish, then the current one."""
        return self.layers.writers()

    @property
    def is_changed(self) -> bool:
        """Returns whether the tree may differ from the last snapshot's."""
        return self.since_last.is_changed

    def commit(self, mutation: Mutation) -> Tree:
        """Makes one change: it is in the tree, and survives the death of this process, on return.

        Raises `RequestError` for an impossible one and `OSError` when the store cannot take it;
        either way nothing has changed.
        """
        while True:
            try:
                return self._commit(mutation)
            except OSError as error:
                self.layers.spill(error)

    def _commit(self, mutation: Mutation) -> Tree:
        if self.read_only:
            raise ReadOnlyError(f"'{self.name}' is read-only here")
        old = self.tree
        new = apply(old, mutation)
        if new is old:
            return old
        self.layers.secure(mutation)
        writer = self._ready_writer()
        writer.append(mutation)
        self.tree = new
        if isinstance(mutation, MAY_SUPERSEDE):
            # After the tree: a reader that finds bytes given back by another thread looks whether
            # the tree has moved on.
            note_superseded(writer.scratch, old, mutation)
        self.layers.note_borrowed(mutation)
        self.since_last.add(mutation)
        self.records_since_base += 1
        if self.wake is not None:
            wake, self.wake = self.wake, None
            wake()
        return new

    def write(
        self,
        number: InodeNumber,
        offset: int,
        data: Buffer,
        time_ns: int,
        *,
        clear_setid: bool = False,
    ) -> int:
        """Writes file data; returns its length.

        Data first, then the record that names it; survives this process on return.
        """
        length = len(data)
        if self.read_only:
            raise ReadOnlyError(f"'{self.name}' is read-only here")
        if offset + length > limits.FILE_BYTES_MAX:
            raise FileTooLargeError(f"a file has at most {limits.FILE_BYTES_MAX} bytes")
        self.tree.existing(number)
        if length == 0:
            return 0
        while True:
            try:
                where = (self.layers.writer or self.layers.open()).append_data(data)
                # Not `commit`: a record that goes to another layer than its data has no checksum.
                self._commit(
                    Write(
                        number,
                        offset,
                        length,
                        where.segment,
                        where.offset,
                        where.checksums,
                        time_ns,
                        clear_setid,
                    )
                )
                break
            except OSError as error:
                self.layers.spill(error)
        self.written_bytes += length
        return length

    def read(self, number: InodeNumber, offset: int, length: int) -> bytes:
        """Returns bytes of a file of the current tree.

        May wait for a disk, and may run in a thread.

        What a write superseded meanwhile may be given back under a reader's feet: then the newer
        record is read.
        """
        while True:
            inode = self.tree.existing(number)
            try:
                return self.reader.read(inode, offset, length)
            except CorruptSegmentError:
                if self.tree.inode(number) == inode:  # A base's record is another object each time.
                    raise

    def next_inode(self) -> InodeNumber:
        """Returns an inode number that was never used in this workspace."""
        return self._spare.pop() if self._spare else self._numbers.take()

    def mark_ref(self) -> None:
        """A ref names the current position: what is reachable from it is never given back."""
        if self.layers.writer is not None:
            self.layers.writer.scratch.mark_refs()

    def mark_snapshot(self, snapshot: SnapshotId) -> None:
        """The current tree is that snapshot's."""
        self.last = snapshot
        self.since_last = SinceLast.known(self.tree, Touched())

    def publish(
        self,
        tree: Tree,
        position: Position,
        touched: Touched | None,
        last: SnapshotId | None,
        since_last: Touched | None,
        last_tree: Tree | None = None,
    ) -> None:
        """Makes another tree the current one; the next write opens a layer at `position`.

        `touched` covers the difference to the tree before (None: unknown). `last` is the newest
        snapshot in the lineage of the new tree, `last_tree` its tree (None: the new one itself),
        `since_last` what was touched since then.
        """
        old, orphans = self.tree, self._orphans(tree, touched)
        self.layers.move(position)
        self._owed.clear()
        self.tree = tree
        self.generation += 1
        self.last = last
        self.since_last = SinceLast.known(tree if last_tree is None else last_tree, since_last)
        self._adopt(old, orphans, touched)

    def publish_again(self, old: Tree) -> None:
        """Does again what publishing the current tree meant for open files: `old` was there before.

        For a process that goes on with a mount whose server died in a publish.
        """
        numbers = [] if self.listener is None else self.listener.orphans(self, old, self.tree, None)
        records = [(number, record) for number in numbers if (record := old.inode(number))]
        self.generation += 1
        self._adopt(old, [(number, Adopt(self.next_inode(), r)) for number, r in records], None)

    def graft(self, graft: Graft, note: Callable[[], object]) -> None:
        """Commits a restored path, has it noted in the log, and publishes it.

        All or nothing: what `note` raises takes the change back. The journal comes first, as in
        every sync, so that the log never tells of a restore that is not in the tree. Open files
        that it replaces live on.
        """
        old, touched = self.tree, Touched()
        touched.add(graft)
        orphans = self._orphans(apply(old, graft), touched)
        writer = self._ready_writer()
        writer.hold()
        try:
            self.commit(graft)
            note()
        except BaseException:
            self.tree = old
            start = Position(writer.layer, writer.settled_end)
            try:
                writer.take_back()
            except OSError:
                # It cannot be cut off: nothing is ever appended to it.
                self.layers.move(start)
            if self.layers.writer not in (writer, None):
                # Memory was full: it went to another layer, which is left in the same way.
                self.layers.move(start)
            raise
        writer.settle()
        self.generation += 1
        self._adopt(old, orphans, touched)

    def prepare(self, tree: Tree, touched: Touched | None) -> None:
        """Takes the numbers that `publish` of a tree will need: then no full disk can stop it."""
        self._spare = [self.next_inode() for _ in self._orphans(tree, touched, numbered=False)]

    def _orphans(
        self, new: Tree, touched: Touched | None, *, numbered: bool = True
    ) -> list[tuple[InodeNumber, Adopt]]:
        if self.listener is None:
            return []
        numbers = self.listener.orphans(self, self.tree, new, touched)
        records = [(n, r) for n in numbers if (r := self.tree.inode(n)) is not None]
        return [(n, Adopt(self.next_inode() if numbered else n, r)) for n, r in records]

    def _adopt(
        self, old: Tree, orphans: list[tuple[InodeNumber, Adopt]], touched: Touched | None
    ) -> None:
        for _, adopt in orphans:
            try:
                self.commit(adopt)
            except OSError:
                # The tree is published already. Whoever has the file open keeps it, and the record
                # goes before the next one that the disk takes; nobody else ever sees the file.
                self.tree = apply(self.tree, adopt)
                self._owed.append(adopt)
        if self.listener is not None:
            adopted = {number: adopt.number for number, adopt in orphans}
            self.listener.published(self, old, self.tree, touched, adopted)

    def roll(self) -> tuple[Position, Tree]:
        """Leaves the layer, for a base of the next; returns the frozen position and tree. O(1)."""
        position, frozen = self.position, self.tree
        self.layers.move(position)
        self.tree = over(frozen)
        self.layers.open()
        self._records_at_roll = self.records_since_base
        return position, frozen

    def rebase(self, frozen: Tree, base: Base) -> None:
        """Puts an equal table in the place of the frozen tree, if the current one is over that.

        Whoever's roll has frozen it. O(1).
        """
        if self.tree.base is frozen:
            self.tree = on_base(self.tree, base)
            # Those that came while it was written are folded by who opens the branch next.
            self.records_since_base -= self._records_at_roll
            self._records_at_roll = 0

    def sync(self) -> None:
        """Makes everything acknowledged before the call durable: data, records, log.

        Nothing of an ephemeral branch: `promote` does. BLOCKS: call it in a thread. Syncs queue up.
        """
        self.layers.sync()

    def promote(self) -> None:
        """Makes the present of an ephemeral branch durable, as a place to start from. BLOCKS.

        Nothing for other branches.
        """
        if self.is_ephemeral:
            self.layers.promote()

    def reclaim(self) -> None:
        """Gives back scratch that nobody can reach. BLOCKS for some ms: call it in a thread."""
        self.layers.reclaim()

    def tidy(self) -> None:
        """Closes the layers that a publish left and that are durable."""
        self.layers.tidy()

    def close(self) -> None:
        """Closes the layers; syncs nothing."""
        self.layers.close()

    def _ready_writer(self) -> LayerWriter:
        """Returns the layer to write to; what is owed to its journal has been paid."""
        writer = self.layers.writer or self.layers.open()
        while self._owed:
            writer.append(self._owed[0])
            del self._owed[0]
        return writer
