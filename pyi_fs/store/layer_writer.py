"""The end of one layer, held by the process that has the branch's lock."""

import errno
import os
from functools import partial
from threading import Lock

from pyi_fs import limits
from pyi_fs.format.record import encode_mutation
from pyi_fs.ids import Buffer, LayerId
from pyi_fs.model.mutation import Mutation
from pyi_fs.model.superseded import gives_back
from pyi_fs.store import layout, reserve
from pyi_fs.store.journal import JournalWriter
from pyi_fs.store.memory_bound import MemoryBound
from pyi_fs.store.scratch import Appended, ScratchWriter
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, Storage

# The journal has the runs too. Reading them from one of this size takes about 1 ms, once for each
# process; a file of their own costs who leaves a layer four system calls that change a directory.
RUNS_JOURNAL_BYTES_MIN = 16 * 1024


class LayerWriter:
    """The end of one layer.

    Its journal and its scratch, held by the process that has the branch's lock.
    """

    def __init__(
        self,
        storage: Storage,
        layer: LayerId,
        journal: JournalWriter,
        scratch: ScratchWriter,
        bound: MemoryBound | None = None,
    ) -> None:
        """Use `Layers.create` or `Layers.resume`. `bound`: of memory, if the layer is there."""
        self.layer = layer
        self.bound = bound
        self.scratch = scratch
        self.are_parents_durable = False
        self._journal = journal
        self._storage = storage
        self._unsynced_names = True
        # A sync failed, and what it was about has to be written again before the next one counts.
        self._is_doubtful = False
        # A branch that starts from this layer may sync it, too.
        self._sync_lock = Lock()
        self._is_closed = False
        self._is_given_up = False

    @property
    def end(self) -> int:
        """Returns the journal's end: with the layer, the position of the branch."""
        return self._journal.end

    def append_data(self, data: Buffer) -> Appended:
        """Appends file data to scratch; the record that names it comes after.

        `OSError` (`ENOSPC`) also when memory has its fill.
        """
        if self.bound is not None:
            self._take(self.bound, len(data))
        return self.scratch.append(data)

    def append(self, mutation: Mutation) -> int:
        """Appends a mutation; returns the journal's new end.

        One that gives room back finds some on a full disk.
        """
        payload = encode_mutation(mutation)
        if self.bound is not None:
            self._take(self.bound, len(payload))
            return self._journal.append(payload)
        try:
            return self._journal.append(payload)
        except OSError as error:
            if not reserve.is_full(error) or not gives_back(mutation):
                raise
            return reserve.with_reserve(self._storage, partial(self._journal.append, payload))

    @property
    def settled_end(self) -> int:
        """Returns the journal's end without what may be taken back."""
        return self._journal.settled_end

    def hold(self) -> None:
        """What is appended from now on may be taken back, until `settle`; no sync counts it."""
        self._journal.hold()

    def settle(self) -> None:
        """What was appended since `hold` stays."""
        self._journal.settle()

    def take_back(self) -> None:
        """Cuts off what was appended since `hold`: nobody has been told of it."""
        self._journal.take_back()

    @property
    def is_synced(self) -> bool:
        """Returns whether everything appended is durable."""
        is_durable = self._journal.synced_bytes >= self._journal.end and not self._unsynced_names
        return is_durable or self._is_given_up

    def sync(self, end_max: int | None = None) -> bool:
        """Makes everything appended before the call durable; False if it was closed meanwhile.

        Data, then new names, then the records that name the data. May run in a thread.

        The journal's end is read before the data is synced: a record appended meanwhile may name
        data that is not durable yet. After a failure everything not durable is written again first
        (`AppendFile.write_again`); `CorruptError` if it cannot be read any more.

        `end_max`: no record beyond it is counted as durable. For who needs the layer up to there
        only: what lies beyond may name bytes of other layers that are not durable yet.
        """
        with self._sync_lock:
            if self._is_closed:
                return False
            self._sync(end_max)
            return True

    def _sync(self, end_max: int | None) -> None:
        waited = self.scratch.take_waiting()
        settled_end = self.settled_end
        end = settled_end if end_max is None else min(end_max, settled_end)
        try:
            if self._is_doubtful:
                self.scratch.write_again()
                self._journal.write_again()
                self._is_doubtful = False
            if self._unsynced_names or self.scratch.has_names:
                self._sync_names_too(end)
            else:
                self._sync_files(end)
            if self.scratch.has_given_back:
                self._journal.sync_note()
        except BaseException:
            self._is_doubtful = True
            self.scratch.keep_waiting(waited)
            raise
        if end == settled_end:
            self.scratch.release(waited)
        else:
            # What superseded it may be cut off, should a power loss take what it stands on.
            self.scratch.keep_waiting(waited)
        reserve.refill(self._storage)

    def _sync_names_too(self, end: int) -> None:
        self.scratch.sync()
        if self._unsynced_names:
            # Before the journal's sync notes that it is durable: without its name it is not.
            self._journal.make_note()
            sync_names(self._storage, self.layer)
            self._unsynced_names = False
        self._journal.sync(end)

    def _sync_files(self, end: int) -> None:
        """Syncs data and records at once: which of the two comes first is as open as without it.

        (The kernel writes pages when it likes.) What is noted as durable is so with its data.
        """
        unsynced, journal = self.scratch.begin_sync(), self._journal.file_to_sync(end)
        files = [*unsynced.files, *([] if journal is None else [journal])]
        outcomes = self._storage.sync_files(files)
        self.scratch.end_sync(unsynced, outcomes[: len(unsynced.files)])
        if journal is not None:
            if outcomes[-1] is not None:
                raise outcomes[-1]
            self._journal.synced(end)

    def give_up(self) -> None:
        """The layer was collected: there is nothing that could be made durable."""
        self._is_given_up = True

    def reclaim(self, *, everything: bool = False, wait: bool = True) -> None:
        """Gives back scratch that nobody can reach; short ranges, too, if `everything`.

        BLOCKS for some ms, and while the layer is being copied or pinned, unless `wait` is false:
        then nothing is given back. May run in a thread, also beside `sync`.
        """
        bytes_min = PUNCH_BLOCK_BYTES if everything else limits.PUNCH_BYTES_MIN
        plan = self.scratch.plan_reclaim(bytes_min)
        if plan and self.bound is not None:
            before = self.scratch.returned_bytes
            self.scratch.reclaim(plan, wait=wait)
            self.bound.gave_back(self.scratch.returned_bytes - before)
        elif plan:
            # After a power loss, records beyond the note are held against their data: what is given
            # back must not look like a loss.
            self.scratch.has_given_back = True
            self._journal.sync_note()
            self.scratch.reclaim(plan)

    def _take(self, bound: MemoryBound, size_bytes: int) -> None:
        if not bound.takes(size_bytes):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Closes the files; syncs nothing. Waits for a sync in another thread."""
        with self._sync_lock:
            self._is_closed = True
            self.scratch.close(has_runs_beside=self.end >= RUNS_JOURNAL_BYTES_MIN)
            self._journal.close()


def sync_names(storage: Storage, layer: LayerId) -> None:
    """Makes the names of a layer's files and directories durable."""
    directory = layout.layer_directory(layer)
    for path in (directory, directory.rpartition("/")[0], layout.LAYERS):
        storage.sync_directory(path)
