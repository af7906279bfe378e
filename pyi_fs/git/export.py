"""Snapshots of a branch as commits of a git branch: chosen, compared, streamed.

Invariants:
- A commit that ends in `Pyi-Snapshot: ID`, and was committed at that snapshot's second, has exactly
  the tree of that snapshot, less what is left out.
- Only new commits and their git branch are written; the branch moves when all commits are there,
  and only forward.
- The workspace is only read, and no lock is taken: it may be mounted and written meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AlreadyExistsError, BusyError, InvalidArgumentError, NotFoundError
from pyi_fs.git.changes import Before, Changes, Move, Put
from pyi_fs.git.ignore import IgnoreRules, pieces, with_rules_touched
from pyi_fs.git.left_out import LeftOut
from pyi_fs.git.lineage import Trees, chain, number_of, taken
from pyi_fs.git.repository import (
    IGNORING_TRAILER,
    TRAILER,
    Git,
    GitCommit,
    Repository,
    branch_ref,
    is_nothing,
    open_repository,
)
from pyi_fs.git.stream import EXECUTABLE, REGULAR, SYMLINK, FastImport
from pyi_fs.ids import Position, SnapshotId
from pyi_fs.model.inode import Inode
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree

DEFAULT_BRANCH = "main"
_TELL_FILES = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What to export.

    `last`: only the newest snapshot; `named_only`: only those with a name; `automatic`: also those
    nobody asked for.

    `onto`: the parent of the first commit. `git_branch` "": `pyi/WORKSPACE`, with `+BRANCH` for
    another branch than `main`. `bare`: what to make when there is no repository.
    """

    branch: str = DEFAULT_BRANCH
    git_branch: str = ""
    last: bool = False
    named_only: bool = False
    automatic: bool = False
    onto: str | None = None
    respect_gitignore: bool = False
    bare: bool = False


class Progress(NamedTuple):
    """How far an export is: the commit being written counts from 1.

    `path`: the file being read, of `size_bytes`, of which `read_bytes` are; b"" for small ones.
    """

    commit: int
    commits: int
    files: int
    file_bytes: int
    path: bytes = b""
    size_bytes: int = 0
    read_bytes: int = 0


@dataclass
class Report:
    """What was done: the snapshots that became commits, the branch's tip, what was left out.

    `tip` is "" if there is no such git branch; `file_bytes` is what was read.
    """

    git_branch: str
    tip: str = ""
    snapshots: list[SnapshotId] = field(default_factory=list)
    files: int = 0
    file_bytes: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)


class _Start(NamedTuple):
    """Where the new commits go: after `parent`, with the snapshots after `number`.

    `position` and `time_ns` are those of the snapshot whose tree the parent has, if it has one.
    """

    parent: str | None
    number: int = 0
    position: Position | None = None
    time_ns: int = 0


def export(
    workspace: Workspace,
    repository: str | Path,
    options: Options = Options(),
    *,
    environment: Mapping[str, str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Writes what is new of a branch's snapshots as commits; returns what was done.

    The repository is made if there is none. `environment`: see `Git`. `NotFoundError` for the
    branch, the revision or a directory that is no repository; `AccessDeniedError` if something
    would be written through a link in its git directory; `BusyError` if the git branch is checked
    out; `AlreadyExistsError` if its tip was not made here (unless `onto` says where to go on);
    other `RequestError`s are git's; `StoreError`. After an error the git branch is where it was.
    """
    if options.last and options.named_only:
        raise InvalidArgumentError("--last and --named-only cannot be used together")
    lineage = _chosen(chain(workspace, options.branch), options)
    git = Git(environment)
    git_branch = options.git_branch or default_git_branch(workspace.name, options.branch)
    ref = branch_ref(git, git_branch)
    if options.onto is not None and is_nothing(Path(repository)):
        raise NotFoundError(f"no commit '{options.onto}': there is no repository {repository} yet")
    repo = open_repository(git, Path(repository), bare=options.bare, head=git_branch)
    place = repo.checked_out().get(ref)
    if place is not None:
        raise BusyError(f"'{git_branch}' is checked out in {place} (use --git-branch)")
    repo.refuse_links(ref)
    start = _start(workspace, repo, ref, git_branch, options)
    new = [snapshot for snapshot in lineage if number_of(snapshot.id) > start.number]
    report = Report(git_branch)
    if new:
        with FastImport(repo, ref, start.parent) as stream:
            _Exporter(workspace, repo, options, stream, report, progress).run(new, start)
            stream.finish()
    report.tip = repo.resolve(ref) or ""
    return report


def default_git_branch(workspace: str, branch: str) -> str:
    """Returns the git branch a branch goes to; no two go to one: no name has a plus."""
    return f"pyi/{workspace}" if branch == DEFAULT_BRANCH else f"pyi/{workspace}+{branch}"


def _chosen(lineage: list[Snapshot], options: Options) -> list[Snapshot]:
    found = [
        snapshot
        for snapshot in lineage
        if (options.automatic or not snapshot.automatic or snapshot.name is not None)
        and (snapshot.name is not None or not options.named_only)
    ]
    return found[-1:] if options.last else found


def _start(
    workspace: Workspace, repo: Repository, ref: str, git_branch: str, options: Options
) -> _Start:
    parent = None if options.onto is None else repo.resolve(options.onto)
    if options.onto is not None and parent is None:
        raise NotFoundError(f"no commit '{options.onto}' in {repo.path}")
    tip = repo.resolve(ref)
    if tip is not None:
        found = _made_here(workspace, repo.commits(tip), options)
        if found is not None:
            return found
        if options.onto is None:
            raise AlreadyExistsError(
                f"the tip of '{git_branch}' is not a snapshot of '{workspace.name}'"
                f" (use --onto {git_branch} or --git-branch)"
            )
    if parent is None:
        return _Start(None)
    if tip is not None and not repo.contains(parent, tip):
        raise AlreadyExistsError(f"'{git_branch}' has commits that '{options.onto}' does not have")
    found = _made_here(workspace, repo.recent(parent), options)
    if found is None:
        return _Start(parent)
    # Below commits of others: those snapshots are there, but the parent's tree is another.
    return found if found.parent == parent else _Start(parent, found.number)


def _made_here(workspace: Workspace, commits: list[GitCommit], options: Options) -> _Start | None:
    """Returns the newest of the commits that is a snapshot of this workspace, as a start."""
    for commit in commits:
        snapshot = _recorded(workspace, commit.snapshot)
        # Amended, rebased or made by hand: the time of the commit is another, and so may be its
        # tree.
        if snapshot is None or snapshot.time_ns // 10**9 != commit.time:
            continue
        number = number_of(SnapshotId(commit.snapshot))
        if commit.ignoring != options.respect_gitignore:
            return _Start(commit.id, number)
        return _Start(commit.id, number, Position(*snapshot.position), snapshot.time_ns)
    return None


class _Record(NamedTuple):
    position: Position
    time_ns: int


def _recorded(workspace: Workspace, snapshot_id: str) -> _Record | None:
    """Returns where and when a snapshot was taken, also of a deleted one; None if not here."""
    if not snapshot_id:
        return None
    snapshot = workspace.refs.snapshots.get(SnapshotId(snapshot_id))
    if snapshot is not None:
        return _Record(snapshot.position, snapshot.time_ns)
    record = taken(workspace).get(SnapshotId(snapshot_id))
    return _Record(Position(*record.position), record.time_ns) if record is not None else None


class _Exporter:
    """One run: the snapshots, one after the other, into a stream."""

    def __init__(
        self,
        workspace: Workspace,
        repo: Repository,
        options: Options,
        stream: FastImport,
        report: Report,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._workspace = workspace
        self._repo = repo
        self._options = options
        self._stream = stream
        self._report = report
        self._progress = progress
        self._trees = Trees(workspace)
        self._counts = (0, 0)

    def run(self, snapshots: list[Snapshot], start: _Start) -> None:
        """Writes the commits of the snapshots."""
        person = self._repo.identity()
        position, time_ns = start.position, start.time_ns
        has_parent = start.parent is not None
        for index, snapshot in enumerate(snapshots, 1):
            self._counts = (index, len(snapshots))
            self._tell()
            tree = self._trees.tree(snapshot.position, position)
            message = message_of(snapshot, ignoring=self._options.respect_gitignore)
            self._stream.commit(person, max(snapshot.time_ns, 0) // 10**9, message)
            touched = self._touched(tree, position, snapshot.position)
            before = self._before(position, time_ns)
            self._write(tree, touched, before, has_parent=has_parent)
            self._report.snapshots.append(snapshot.id)
            position, time_ns, has_parent = snapshot.position, snapshot.time_ns, True

    def _touched(self, tree: Tree, old: Position | None, new: Position) -> Touched | None:
        touched = self._workspace.history.touched(old, new) if old is not None else None
        if touched is not None and self._options.respect_gitignore:
            return with_rules_touched(touched, tree)
        return touched

    def _before(self, position: Position | None, time_ns: int) -> Before | None:
        if position is None:
            return None
        at = position
        return Before(lambda: self._trees.tree_if_kept(at), time_ns)

    def _write(
        self, tree: Tree, touched: Touched | None, before: Before | None, *, has_parent: bool
    ) -> None:
        is_ignoring = self._options.respect_gitignore
        left_out = self._report.left_out
        changes = Changes(tree, touched, left_out, before=before, moves_directories=not is_ignoring)
        if touched is None and has_parent:
            self._stream.delete_all()
        for path in changes.removals():
            self._stream.delete(path)
        puts: Iterable[Put | Move] = changes.puts()
        rules = IgnoreRules(self._repo.git, tree, self._workspace.reader) if is_ignoring else None
        with rules if rules is not None else nullcontext():
            for put in rules.kept(puts, left_out) if rules is not None else puts:
                self._put_or_move(changes, put)

    def _put_or_move(self, changes: Changes, first: Put | Move) -> None:
        waiting: list[Iterator[Put | Move]] = [iter([first])]
        while waiting:
            item = next(waiting[-1], None)
            if item is None:
                waiting.pop()
            elif isinstance(item, Put):
                self._put(item)
            elif not self._stream.put_again(item.path, None, item.old_path):
                # The parent commit has nothing there: an empty directory, or one it left out.
                waiting.append(changes.walk(item.path, item.number))

    def _put(self, put: Put) -> None:
        inode = put.inode
        mode = SYMLINK if inode.is_symlink else EXECUTABLE if inode.mode & 0o100 else REGULAR
        self._report.files += 1
        if self._report.files % _TELL_FILES == 0:
            self._tell()
        if put.old_path is not None and self._stream.put_again(put.path, mode, put.old_path):
            return
        if inode.is_symlink:
            self._stream.put(put.path, mode, len(inode.target), [inode.target])
        else:
            self._stream.put(put.path, mode, inode.size, self._counted(put.path, inode))

    def _counted(self, path: bytes, inode: Inode) -> Iterator[bytes]:
        read_bytes = 0
        for piece in pieces(self._workspace.reader, inode):
            if read_bytes == 0 and inode.size > len(piece):
                self._tell(path, inode.size)
            self._report.file_bytes += len(piece)
            read_bytes += len(piece)
            yield piece
            if inode.size > len(piece):
                self._tell(path, inode.size, read_bytes)

    def _tell(self, path: bytes = b"", size_bytes: int = 0, read_bytes: int = 0) -> None:
        if self._progress is not None:
            done = (self._report.files, self._report.file_bytes)
            self._progress(Progress(*self._counts, *done, path, size_bytes, read_bytes))


def message_of(snapshot: Snapshot, *, ignoring: bool = False) -> str:
    """Returns a snapshot's commit message: name (or id), message, and what a later run goes by."""
    subject = snapshot.name or f"Snapshot {snapshot.id}"
    if snapshot.automatic:
        subject += f" ({snapshot.automatic})"
    # NUL ends a message for git, and fsck refuses it.
    text = snapshot.message.replace("\0", "").strip("\n")
    trailers = f"{TRAILER}: {snapshot.id}\n"
    if ignoring:
        trailers += f"{IGNORING_TRAILER}: .gitignore\n"
    subject = " ".join(subject.replace("\0", "").split())
    return "\n\n".join([subject, *([text] if text.strip() else []), trailers])
