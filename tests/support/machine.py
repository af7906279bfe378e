"""Two workspaces driven together: the real one and a naive one that copies whole filesystems."""

import dataclasses
from dataclasses import dataclass, field

import msgspec

from pyi_fs.errors import RequestError
from pyi_fs.ids import LayerId, SnapshotId, segment_id
from pyi_fs.model import extent
from pyi_fs.model.diff import count
from pyi_fs.model.mutation import Create, Mutation, Share, Write
from tests.support.naive import assert_changes_lead, linked, oracle_of, reap
from tests.support.oracle import Content, Oracle
from tests.support.workspaces import Rig

_SEGMENT = segment_id(LayerId(9), 0)


@dataclass
class Done:
    """Something that undo or redo would take back."""

    number: int
    kind: str
    branch: str
    before: Oracle


@dataclass
class Naive:
    """A workspace on copies: branches (dropped ones too), snapshots, what can be undone."""

    branches: dict[str, Oracle]
    dropped: dict[str, Oracle] = field(default_factory=dict)
    snapshots: dict[SnapshotId, Oracle] = field(default_factory=dict)
    undoable: list[Done] = field(default_factory=list)
    redoable: list[Done] = field(default_factory=list)
    operations: int = 0

    def note(self, kind: str, branch: str, before: Oracle) -> None:
        """A new operation: what was undone of that branch cannot be redone any more."""
        self.operations += 1
        self.redoable = [done for done in self.redoable if done.branch != branch]
        self.undoable.append(Done(self.operations, kind, branch, before))

    def newest(self, stack: list[Done], branch: str) -> Done | None:
        """Returns what undo or redo on a branch would take back."""
        return next(
            (d for d in reversed(stack) if (d.kind == "move") == (d.branch == branch)), None
        )

    def invert(self, done: Done) -> Done:
        """Takes back an operation; returns the operation that did."""
        self.operations += 1
        name = done.branch
        if done.kind == "move":
            before, self.branches[name] = self.branches[name], done.before.copy()
            return Done(self.operations, "move", name, before)
        if done.kind == "make":
            gone = self.dropped[name] = self.branches.pop(name)
            return Done(self.operations, "drop", name, gone)
        back = self.branches[name] = done.before.copy()
        reap(back)
        return Done(self.operations, "make", name, back)


class Machine:
    """The real workspace and the naive one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.naive = Naive({"main": oracle_of(rig.workspace.reader, rig.main.tree)})
        self.content = Content()

    @property
    def names(self) -> list[str]:
        """Returns the branches there are."""
        return sorted(self.naive.branches)

    def mutate(self, name: str, mutation: Mutation) -> None:
        """One mutation on both; what one refuses the other refuses too."""
        branch, oracle = self.rig.branch(name), self.naive.branches[name]
        oracle.content = self.content
        if type(mutation) is Create:
            mutation = msgspec.structs.replace(mutation, number=branch.next_inode())
        refusals = []
        try:
            if type(mutation) is Write:
                self._write(name, mutation)
            else:
                branch.commit(mutation)
        except RequestError as error:
            refusals.append(error.errno)
        try:
            oracle.apply(mutation)
        except OSError as error:
            refusals.append(error.errno or 0)
        assert len(refusals) in (0, 2), (mutation, refusals)
        self.compare(name)

    def _write(self, name: str, change: Write) -> None:
        held = self.content.segments[change.segment]
        data = bytes(held[change.source_offset : change.source_offset + change.length])
        self.rig.branch(name).write(
            change.number, change.offset, data, change.time_ns, clear_setid=change.clear_setid
        )

    def share(self, name: str, source: int, target: int, length: int) -> None:
        """Two files of a branch come to share bytes."""
        branch, oracle = self.rig.branch(name), self.naive.branches[name]
        inode = next(
            i for n in branch.tree.numbers() if n == source and (i := branch.tree.inode(n))
        )
        length = min(length, inode.size)
        if not length:
            return
        pieces = extent.from_extents(extent.overlapping(inode.extents, 0, length))
        now = self.rig.now()
        (number,) = (n for n in branch.tree.numbers() if n == target)
        branch.commit(Share(number, 3, length, pieces, now))
        oracle.content = self.content
        start = self.content.append(_SEGMENT, bytes(oracle.nodes[source].data[:length]))
        oracle.apply(Write(number, 3, length, _SEGMENT, start, b"", now))
        self.compare(name)

    def snapshot(self, name: str) -> SnapshotId:
        """A snapshot; nothing changed: the same one. The counts are those of the diff."""
        branch = self.rig.branch(name)
        last = self.rig.workspace.last(branch)
        was_changed, last_of_branch = branch.is_changed, branch.last
        answer = self.rig.workspace.snapshot(branch)
        taken = answer.snapshot
        # Where the last one was deleted, the branch may differ from the one before that.
        if last is None or last.id == last_of_branch:
            assert answer.unchanged == (last is not None and not was_changed)
        if answer.unchanged:
            assert taken == last
        elif last is not None:
            changes = self.rig.workspace.diff(last, taken)
            assert count(changes) == (taken.added, taken.modified, taken.deleted)
        again = self.rig.workspace.snapshot(branch)
        assert again.unchanged
        assert again.snapshot.id == taken.id
        self._learn_snapshots(name)
        assert linked(self.naive.snapshots[taken.id]) == linked(self.naive.branches[name])
        return taken.id

    def _learn_snapshots(self, name: str) -> None:
        """What was taken just now, asked for or not, is the branch as it was."""
        for id_ in self.rig.workspace.refresh().snapshots:
            if id_ not in self.naive.snapshots:
                self.naive.snapshots[id_] = self.naive.branches[name].copy()

    def diff(self, one: SnapshotId, other: SnapshotId) -> None:
        """The difference of two snapshots, each way."""
        find = self.rig.workspace.find_snapshot
        for a, b in ((one, other), (other, one)):
            changes = self.rig.workspace.diff(find(a), find(b))
            assert_changes_lead(self.naive.snapshots[a], self.naive.snapshots[b], changes)

    def restore(self, name: str, snapshot: SnapshotId) -> None:
        branch, before = self.rig.branch(name), self.naive.branches[name]
        self.rig.workspace.restore(branch, snapshot)
        self._learn_snapshots(name)
        self.naive.note("move", name, before)
        self.naive.branches[name] = self.naive.snapshots[snapshot].copy()
        self.compare(name)

    def restore_path(self, name: str, snapshot: SnapshotId, path: bytes) -> None:
        """One path becomes what it was; the paths elsewhere stay what they are."""
        branch, before = self.rig.branch(name), self.naive.branches[name]
        past = self.naive.snapshots[snapshot]
        try:
            self.rig.workspace.restore(branch, snapshot, path)
        except RequestError:
            self.compare(name)
            return
        self._learn_snapshots(name)
        self.naive.note("move", name, before.copy())
        now = oracle_of(self.rig.workspace.reader, branch.tree)
        assert _below(now, path) == _below(past, path)
        assert _one_file(now, path) == _one_file(past, path)
        # A file inside that has another name outside stays one file.
        both = _numbers(before, path) | _numbers(now, path)
        assert _beside(now, path, both) == _beside(before, path, both)
        self.naive.branches[name] = now
        self.compare(name)

    def undo(self, name: str) -> None:
        self._take_back(name, self.naive.undoable, self.rig.workspace.undo)

    def redo(self, name: str) -> None:
        self._take_back(name, self.naive.redoable, self.rig.workspace.redo)

    def _take_back(self, name: str, stack: list[Done], call: object) -> None:
        assert callable(call)
        naive, branch = self.naive, self.rig.branch(name)
        done = naive.newest(stack, name)
        try:
            call(branch)
        except RequestError:
            only = done is not None and done.kind == "make" and len(naive.branches) == 1
            assert done is None or only
            return
        assert done is not None
        self._learn_snapshots(name)
        inverse = naive.invert(done)
        if stack is naive.undoable:
            naive.undoable = [
                other
                for other in stack
                if other.branch != done.branch or other.number < done.number
            ]
            naive.redoable.append(inverse)
        else:
            stack.remove(done)
            naive.undoable.append(inverse)
        self.compare_all()

    def make_branch(self, name: str, start: str | SnapshotId) -> None:
        workspace, naive = self.rig.workspace, self.naive
        if start in naive.branches:
            source, begin = naive.branches[start], self.rig.branch(start)
            workspace.make_branch(name, begin)
        else:
            snapshot = workspace.find_snapshot(start)
            source = naive.snapshots[snapshot.id]
            workspace.make_branch(name, snapshot)
        naive.branches[name] = source.copy()
        reap(naive.branches[name])
        naive.dropped.pop(name, None)
        naive.note("make", name, naive.branches[name])
        self.compare(name)

    def drop_branch(self, name: str) -> None:
        self.rig.workspace.drop_branch(name)
        gone = self.naive.dropped[name] = self.naive.branches.pop(name)
        self.naive.note("drop", name, gone)

    def reopen(self, *, kill: bool) -> None:
        """The process ends, cleanly or not, and another begins; what has no name is gone."""
        rig = self.rig
        storage = rig.storage
        if kill:
            rig.die()
            storage = rig.storage.after_kill()  # type: ignore[attr-defined]
        else:
            rig.close()
        self.rig = Rig(storage, rig.workspace.name, clock=rig.clock)
        for oracle in self.naive.branches.values():
            reap(oracle)
        self.compare_all()

    def compare(self, name: str) -> None:
        branch = self.rig.branch(name)
        seen = linked(oracle_of(self.rig.workspace.reader, branch.tree))
        assert seen == linked(self.naive.branches[name])

    def compare_all(self) -> None:
        """Every branch, every snapshot."""
        assert self.rig.workspace.refresh().branch_names() == self.names
        for name in self.names:
            self.compare(name)
        for id_, oracle in self.naive.snapshots.items():
            snapshot = self.rig.workspace.find_snapshot(id_)
            tree = self.rig.workspace.snapshot_tree(snapshot)
            assert linked(oracle_of(self.rig.workspace.reader, tree)) == linked(oracle)


def _node(oracle: Oracle, path: bytes) -> int | None:
    number = 1
    for name in path.split(b"/"):
        if name not in oracle.nodes[number].names:
            return None
        number = oracle.nodes[number].names[name]
    return number


def _facts(oracle: Oracle, number: int) -> object:
    node = dataclasses.asdict(oracle.nodes[number])
    return {key: node[key] for key in ("mode", "uid", "gid", "rdev", "target", "data", "xattrs")}


def _below(oracle: Oracle, path: bytes) -> object:
    """Returns what a path and all below it show, but for numbers, times and links."""
    number = _node(oracle, path)
    if number is None:
        return None
    names = oracle.nodes[number].names
    below = {name: _below(oracle, path + b"/" + name) for name in names}
    return _facts(oracle, number), below


def _one_file(oracle: Oracle, path: bytes) -> set[frozenset[bytes]]:
    """Returns which paths at and below one are names of one file."""
    start = _node(oracle, path)
    found: dict[int, set[bytes]] = {}
    waiting = [(path, start)] if start is not None else []
    while waiting:
        above, number = waiting.pop()
        found.setdefault(number, set()).add(above)
        waiting += [(above + b"/" + name, n) for name, n in oracle.nodes[number].names.items()]
    return {frozenset(paths) for paths in found.values()}


def _numbers(oracle: Oracle, path: bytes) -> set[int]:
    """Returns the numbers at a path and below it."""
    found: set[int] = set()
    waiting = [_node(oracle, path)]
    while waiting:
        number = waiting.pop()
        if number is not None:
            found.add(number)
            waiting += oracle.nodes[number].names.values()
    return found


def _beside(oracle: Oracle, path: bytes, without: set[int]) -> dict[bytes, object]:
    """Returns what all paths but that one and those below it show."""
    found: dict[bytes, object] = {}

    def walk(number: int, prefix: bytes) -> None:
        for name, child in oracle.nodes[number].names.items():
            if prefix + name != path:
                facts = None if child in without else _facts(oracle, child)
                found[prefix + name] = (child, facts)
                walk(child, prefix + name + b"/")

    walk(1, b"")
    return found
