"""What is in a store, as values that can be shown or written as JSON."""

from dataclasses import dataclass

from pyi_fs.cli.live_mounts import LiveMount, live_mounts
from pyi_fs.engine.evicting import held_files
from pyi_fs.engine.gc_record import read_record
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage import Progress, Usage, WorkspaceUsage
from pyi_fs.engine.usage_record import noted_usage
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import CorruptError, NotFoundError, StoreError
from pyi_fs.ids import WorkspaceName


@dataclass(frozen=True)
class Sizes:
    """Bytes that are held: `own_bytes` by nobody else; `frees_bytes`: what removing gives back."""

    own_bytes: int
    shared_bytes: int
    frees_bytes: int


@dataclass(frozen=True)
class BranchFacts:
    """A branch. `in_use`: who writes it, for people."""

    name: str
    made_ns: int
    last_snapshot: str | None
    ephemeral: bool
    in_use: str | None
    sizes: Sizes | None


@dataclass(frozen=True)
class SnapshotFacts:
    """A snapshot. `automatic`: why it was taken if nobody asked for it, else empty."""

    id: str
    name: str | None
    branch: str
    time_ns: int
    added: int
    modified: int
    deleted: int
    message: str
    automatic: str
    sizes: Sizes | None


@dataclass(frozen=True)
class CollectionFacts:
    """The last collection of the store. `missing_bytes`: by how much a budget was missed."""

    time_ns: int
    reason: str
    freed_bytes: int
    missing_bytes: int


@dataclass(frozen=True)
class PlainFacts:
    """The plain files of a store: a cache that all its workspaces share."""

    files: int
    size_bytes: int


@dataclass(frozen=True)
class WorkspaceFacts:
    """A workspace. `source`: what it began as. `sizes` are None if nobody asked for them.

    `undo_sizes`: of what only undo can come back to. `plain`: of the store; None if there are none.
    `damage`: why the log cannot be read; then nothing else is known but what is mounted.
    """

    name: str
    source: str
    made_ns: int
    branches: list[BranchFacts]
    snapshots: list[SnapshotFacts]
    mounts: list[LiveMount]
    sizes: Sizes | None
    undo_sizes: Sizes | None
    collection: CollectionFacts | None = None
    plain: PlainFacts | None = None
    damage: str | None = None


def used(store: Store, progress: Progress = lambda _: None) -> dict[str, WorkspaceUsage]:
    """Returns what each workspace holds, and notes it for `status`. O(store).

    Nothing if damage of some workspace hides who needs what.
    """
    try:
        return {str(found.name): found for found in noted_usage(store, progress).workspaces}
    except StoreError:
        return {}


def workspace_facts(store: Store, name: str, held: WorkspaceUsage | None = None) -> WorkspaceFacts:
    """Returns what a workspace holds, with sizes if they are given; `NotFoundError`."""
    of_branch = {} if held is None else {ref.name: _sizes(ref.held) for ref in held.branches}
    of_snapshot = {} if held is None else {ref.name: _sizes(ref.held) for ref in held.snapshots}
    mounts = [mount for mount in live_mounts(store.storage) if mount.workspace == name]
    try:
        workspace = Workspace(store, WorkspaceName(name))
    except CorruptError as error:
        return WorkspaceFacts(name, "", 0, [], [], mounts, None, None, damage=str(error))
    try:
        refs = workspace.refresh()
        branches = [
            BranchFacts(
                branch,
                refs.branches[branch].made_ns,
                refs.branches[branch].last,
                refs.branches[branch].ephemeral,
                workspace.holder(branch),
                of_branch.get(branch),
            )
            for branch in refs.branch_names()
        ]
        snapshots = [
            SnapshotFacts(
                snapshot.id,
                snapshot.name,
                snapshot.branch,
                snapshot.time_ns,
                snapshot.added,
                snapshot.modified,
                snapshot.deleted,
                snapshot.message,
                snapshot.automatic,
                of_snapshot.get(snapshot.id),
            )
            for snapshot in refs.ordered()
        ]
    finally:
        workspace.close()
    whole = None if held is None else _sizes(held.held, held.log_bytes)
    undo = None if held is None else _sizes(held.undo)
    return WorkspaceFacts(
        name,
        refs.source,
        refs.made_ns,
        branches,
        snapshots,
        mounts,
        whole,
        undo,
        last_collection(store),
        plain_facts(store),
    )


def last_collection(store: Store) -> CollectionFacts | None:
    """Returns what the last collection of a store did, or None if none is known of."""
    record = read_record(store.storage)
    if record is None:
        return None
    return CollectionFacts(record.ended_ns, record.reason, record.freed_bytes, record.missing_bytes)


def plain_facts(store: Store) -> PlainFacts | None:
    """Returns how much a store has in plain files, None if nothing."""
    found = held_files(store.storage)
    return PlainFacts(len(found), sum(one.size_bytes for one in found)) if found else None


def all_facts(
    store: Store, *, sizes: bool, progress: Progress = lambda _: None
) -> list[WorkspaceFacts]:
    """Returns what every workspace of a store holds, by name."""
    held = used(store, progress) if sizes else {}
    found = []
    for name in store.workspace_names():
        try:
            found.append(workspace_facts(store, name, held.get(name)))
        except NotFoundError:
            # Removed since it was listed.
            continue
    return found


def _sizes(held: Usage, more_bytes: int = 0) -> Sizes:
    return Sizes(held.own_bytes + more_bytes, held.shared_bytes, held.frees_bytes)
