"""What is in a store, as values that can be shown or written as JSON."""

from dataclasses import dataclass

from pyi_fs.cli.live_mounts import LiveMount, live_mounts
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import WorkspaceName


@dataclass(frozen=True)
class BranchFacts:
    """A branch. `in_use`: who writes it, for people."""

    name: str
    made_ns: int
    last_snapshot: str | None
    ephemeral: bool
    in_use: str | None


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


@dataclass(frozen=True)
class WorkspaceFacts:
    """A workspace. `source`: what it began as."""

    name: str
    source: str
    made_ns: int
    branches: list[BranchFacts]
    snapshots: list[SnapshotFacts]
    mounts: list[LiveMount]


def workspace_facts(store: Store, name: str) -> WorkspaceFacts:
    """Returns what a workspace holds; `NotFoundError`."""
    workspace = Workspace(store, WorkspaceName(name))
    try:
        refs = workspace.refresh()
        branches = [
            BranchFacts(
                branch,
                refs.branches[branch].made_ns,
                refs.branches[branch].last,
                refs.branches[branch].ephemeral,
                workspace.holder(branch),
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
            )
            for snapshot in refs.ordered()
        ]
    finally:
        workspace.close()
    mounts = [mount for mount in live_mounts(store.storage) if mount.workspace == name]
    return WorkspaceFacts(name, refs.source, refs.made_ns, branches, snapshots, mounts)


def all_facts(store: Store) -> list[WorkspaceFacts]:
    """Returns what every workspace of a store holds, by name."""
    found = []
    for name in store.workspace_names():
        try:
            found.append(workspace_facts(store, name))
        except NotFoundError:
            # Removed since it was listed.
            continue
    return found
