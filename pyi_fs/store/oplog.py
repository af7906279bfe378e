"""The operations log of a workspace: shared by all its processes, appended under `flock`.

Invariants:
- A record is appended only after its writer has folded all records before it: what it decided (a
  free name, the next number) holds.
- A torn last record is what a killed process leaves; the next writer, holding the lock, cuts it
  off. A bad record before the last sync is damage: `CorruptRecordError`, and nothing is cut.
  `synced` beside the log notes how far that is (`store/log_note.py`).
- What `append` returned for survives `kill -9`; what `sync` returned for survives power loss.
"""

import errno
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from pyi_fs.errors import CorruptRecordError, ForeignFileError, NotFoundError
from pyi_fs.format.record import decode_operation, encode_frame, encode_operation, frames
from pyi_fs.ids import OperationId, WorkspaceName
from pyi_fs.model.operation import (
    CloseUndo,
    Continue,
    DeleteSnapshot,
    DropBranch,
    Operation,
    Reserve,
    UnpinSnapshot,
)
from pyi_fs.model.refs import Refs
from pyi_fs.store import layout
from pyi_fs.store.framed import frames_of
from pyi_fs.store.log_note import LOG_SEED, add_to_note, begin_note, read_log_synced
from pyi_fs.store.log_refs import LogRefs
from pyi_fs.store.reserve import with_reserve
from pyi_fs.store.storage import AppendFile, ReadFile, SharedFile, Storage

"""The checksum seed of a log's records."""
# What has to be possible on a full disk: what gives room back, and the two that a `Remove` may
# need, which begins a layer when it is the first change of a mount.
_GIVE_BACK = DropBranch | DeleteSnapshot | UnpinSnapshot | CloseUndo | Continue | Reserve
_BATCH_RECORDS = 128
"""Read at once where the newest come first: as many lines of a log as one read of it makes."""


class OperationsLog:
    """One process's view of a workspace's log: the refs folded so far, and the way to add to it."""

    def __init__(self, storage: Storage, workspace: WorkspaceName) -> None:
        """Opens and folds the log; `NotFoundError` if there is no such workspace."""
        self._storage = storage
        self._workspace = workspace
        self._path = layout.operations_log(workspace)
        try:
            self._file: ReadFile = storage.open_read(self._path)
        except FileNotFoundError as error:
            _check_not_lost(storage, workspace)
            raise NotFoundError(f"no workspace '{workspace}'") from error
        self._shared: SharedFile | None = None
        self._end = 0
        # The end of each record: 8 bytes, so that the newest can be read without those before.
        self._ends = array("Q")
        self._synced = 0
        self._is_doubtful = False
        self._refs = LogRefs(self._path)
        self.on_append: Callable[[], None] = lambda: None
        """Called after each record of this process: it is to be made durable some time."""
        self.on_intent: Callable[[Operation], None] = lambda _: None
        """Called with each record before it is written: from then on it may be there."""
        # Nothing here is known to be durable: who wrote it may have been killed before it synced.
        try:
            self._fold_new()
            self._check_end()
        except BaseException:
            self._file.close()
            raise
        if not self.refs.operation_count:
            self._file.close()
            raise NotFoundError(f"no workspace '{workspace}'")

    @staticmethod
    def create(storage: Storage, workspace: WorkspaceName, first: Operation) -> None:
        """Makes a workspace's directory and its log with one record, durable on return.

        `FileExistsError` if it is there; `CorruptRecordError` if it was and its log is lost.

        A log without a whole record is what a killed maker leaves: it is begun anew.
        """
        first_frame = encode_frame(encode_operation(first), 0, LOG_SEED)
        storage.make_directory(layout.WORKSPACES, parents=True)
        storage.make_directory(layout.workspace_directory(workspace), parents=True)
        storage.make_directory(f"{layout.workspace_directory(workspace)}/locks", parents=True)
        lock = storage.lock(layout.operations_log(workspace))
        assert lock is not None
        try:
            file = storage.open_append(layout.operations_log(workspace))
            try:
                if has_operations(storage, workspace):
                    raise FileExistsError(errno.EEXIST, "workspace exists", workspace)
                _check_not_lost(storage, workspace)
                file.truncate(0)
                file.append(first_frame)
                file.sync()
            finally:
                file.close()
        finally:
            lock.release()
        for directory in (layout.workspace_directory(workspace), layout.WORKSPACES, ""):
            storage.sync_directory(directory)
        # From here on a log that is gone is damage; unless it was removed already.
        with suppress(OSError):
            _begin_note_of(storage, workspace, first_frame)

    @staticmethod
    def remove(storage: Storage, workspace: WorkspaceName) -> None:
        """Removes a log, or what damage left of it, durably: there is no such workspace any more.

        The note goes first. So whoever finds it and no log sees a loss, and not a removal.
        """
        try:
            turn = storage.open_shared(layout.operations_log(workspace))
        except FileNotFoundError:
            _remove_with_note(storage, workspace)
            return
        except ForeignFileError:
            # Nobody appends to that. If it cannot be removed, the note stays.
            storage.remove(layout.operations_log(workspace))
            _remove_with_note(storage, workspace)
            return
        try:
            turn.begin_turn()
        except FileNotFoundError:
            # Somebody else was here; a log of that name is another one.
            turn.close()
            return
        try:
            # Nobody notes anything meanwhile.
            _remove_with_note(storage, workspace)
        finally:
            turn.end_turn()
            turn.close()

    @property
    def refs(self) -> Refs:
        """Returns the refs as last seen."""
        return self._refs.now

    def fold(self) -> None:
        """Folds what this process appended last, so that nobody waits for it who asks next."""
        self._refs.settle()

    def refresh(self) -> Refs:
        """Folds what other processes added; returns the refs.

        One `fstat` when there is nothing new.
        """
        if self._file.size_bytes() > self._end and not self._fold_new():
            self._check_end()
        return self.refs

    def _fold_new(self) -> bool:
        """Folds the records after the last one; returns whether they reach the end of the file."""
        size = self._file.size_bytes()
        for end, payload in frames_of(self._file, LOG_SEED, self._end, size):
            self._refs.fold(decode_operation(payload), self._end)
            self._end = end
            self._ends.append(end)
        return self._end >= size

    def _check_end(self) -> None:
        """What follows is torn, as a killed writer leaves it, unless it was durable once."""
        synced = read_log_synced(self._storage, self._workspace)
        # Once more, after the note: somebody may have written and synced it just now.
        self._fold_new()
        if self._end < synced:
            raise CorruptRecordError(
                self._path, self._end, f"a record (synced to {synced})", "damage"
            )

    def append(self, decide: Callable[[Refs], Operation]) -> Operation:
        """Adds the record that `decide` makes of the newest refs.

        What it raises leaves the log as it was. `NotFoundError` if the workspace was removed.
        """
        shared = self._begun_turn()
        try:
            if shared.size_bytes > self._end:
                self.refresh()
            operation = decide(self._refs.now)
            self._refs.check(operation, self._end)
            if shared.size_bytes > self._end:
                shared.truncate(self._end)
            frame = encode_frame(encode_operation(operation), self._end, LOG_SEED)
            self.on_intent(operation)
            if isinstance(operation, _GIVE_BACK):
                with_reserve(self._storage, partial(shared.append, frame))
            else:
                shared.append(frame)
            self._end = shared.size_bytes
            self._ends.append(self._end)
            self._refs.add(operation)
        finally:
            shared.end_turn()
        self.on_append()
        return operation

    def cut_torn_end(self) -> None:
        """Cuts off what a killed writer or a power loss left after the last record.

        As `append` does, for who needs a whole log without adding to it. `NotFoundError` as there.
        """
        shared = self._begun_turn()
        try:
            if shared.size_bytes > self._end:
                self.refresh()
            if shared.size_bytes > self._end:
                shared.truncate(self._end)
        finally:
            shared.end_turn()

    def in_turn(self, call: Callable[[], object]) -> None:
        """Calls something while nobody can append; `NotFoundError` as `append`."""
        shared = self._begun_turn()
        try:
            call()
        finally:
            shared.end_turn()

    def _begun_turn(self) -> SharedFile:
        # At the first record and not before: who only reads may have no right to write. Kept open:
        # opening and closing it twice for each record took a third of the time of a snapshot.
        try:
            if self._shared is None:
                shared = self._storage.open_shared(self._path)
                self._check_same(shared)
                self._shared = shared
            self._shared.begin_turn()
        except FileNotFoundError as error:
            raise self._gone() from error
        return self._shared

    def _check_same(self, opened: AppendFile) -> None:
        """Closes a file and raises if it is not this log, but one of a later workspace.

        Whoever removed the workspace may have made another of its name: its log is not cut to the
        length of this one. The first record names a layer that no other log begins with.
        """
        if opened.read_at(0, self._ends[0]) != self._file.read_at(0, self._ends[0]):
            opened.close()
            raise self._gone()

    def _gone(self) -> NotFoundError:
        return NotFoundError(f"no workspace '{self._workspace}': it was removed")

    @property
    def is_synced(self) -> bool:
        """Returns whether all records this process has seen are durable."""
        return self._synced >= self._end

    def sync(self) -> None:
        """Makes every record that this process has seen durable. May run in a thread.

        `NotFoundError` if the workspace was removed.
        """
        end = self._end
        if self._synced < end:
            try:
                file = self._storage.open_append(self._path)
            except FileNotFoundError as error:
                raise self._gone() from error
            self._check_same(file)
            try:
                if self._is_doubtful:
                    self._write_again(file, end)
                self._is_doubtful = True
                file.sync()
                self._is_doubtful = False
            finally:
                file.close()
            self._synced = max(self._synced, end)
            self._note_synced(end)

    def _note_synced(self, end: int) -> None:
        """Notes how far the log is durable, unless it was removed meanwhile.

        A full disk has no room for the note; without it an alarm is late, nothing else.
        """
        try:
            turn = self._storage.open_shared(self._path)
        except FileNotFoundError as error:
            raise self._gone() from error
        except OSError:
            return
        self._check_same(turn)
        try:
            turn.begin_turn()
        except FileNotFoundError as error:
            turn.close()
            raise self._gone() from error
        except OSError:
            turn.close()
            return
        try:
            with suppress(OSError):
                add_to_note(self._storage, self._workspace, end)
        finally:
            turn.end_turn()
            turn.close()

    def _write_again(self, file: AppendFile, end: int) -> None:
        """Writes the records up to `end` once more: a sync failed, and the next proves nothing.

        What others append lies beyond `end`, so no lock is needed.
        """
        data = file.read_at(0, end)
        ends = [stop for stop, _ in frames(data, LOG_SEED)]
        if ends[-1:] != [end]:
            valid = ends[-1] if ends else 0
            expected, found = f"records up to {end}", "lost by a failed sync"
            raise CorruptRecordError(self._path, valid, expected, found)
        file.write_again(0, data)

    def operations(self) -> Iterator[tuple[OperationId, Operation]]:
        """Yields (id, operation) from the first to the last."""
        for index, (_, payload) in enumerate(frames_of(self._file, LOG_SEED, 0, self._end)):
            yield OperationId(index + 1), decode_operation(payload)

    def newest_first(self) -> Iterator[tuple[OperationId, Operation]]:
        """Yields (id, operation) from the newest to the first, reading a few at a time.

        Records that come meanwhile are not among them.
        """
        last = len(self._ends)
        while last:
            first = max(0, last - _BATCH_RECORDS)
            start, end = self._ends[first - 1] if first else 0, self._ends[last - 1]
            payloads = [payload for _, payload in frames_of(self._file, LOG_SEED, start, end)]
            for index in range(last - 1, first - 1, -1):
                yield OperationId(index + 1), decode_operation(payloads[index - first])
            last = first

    def close(self) -> None:
        """Closes the file; syncs nothing."""
        self._file.close()
        if self._shared is not None:
            self._shared.close()


def _begin_note_of(storage: Storage, workspace: WorkspaceName, first_frame: bytes) -> None:
    """Notes that a new log is durable, if it still is the log: nobody removes it meanwhile."""
    turn = storage.open_shared(layout.operations_log(workspace))
    try:
        turn.begin_turn()
        try:
            if turn.read_at(0, len(first_frame)) == first_frame:
                begin_note(storage, workspace, len(first_frame))
        finally:
            turn.end_turn()
    finally:
        turn.close()


def _remove_with_note(storage: Storage, workspace: WorkspaceName) -> None:
    directory = layout.workspace_directory(workspace)
    storage.remove(layout.log_synced(workspace))
    storage.sync_directory(directory)
    storage.remove(layout.operations_log(workspace))
    storage.sync_directory(directory)


def _check_not_lost(storage: Storage, workspace: WorkspaceName) -> None:
    """Raises `CorruptRecordError` if a log that is not there, or empty, was durable once."""
    synced = read_log_synced(storage, workspace)
    if synced:
        raise CorruptRecordError(
            layout.operations_log(workspace), 0, f"a record (synced to {synced})", "nothing"
        )


def has_operations(storage: Storage, workspace: WorkspaceName) -> bool:
    """Returns whether a workspace is there: its log has a whole first record."""
    try:
        data = storage.read(layout.operations_log(workspace))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return next(frames(data, LOG_SEED), None) is not None
