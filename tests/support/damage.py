"""Stores to damage, for tests of `engine/fsck.py`."""

from pathlib import Path

from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.findings import Finding
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.ids import SegmentId
from pyi_fs.store import layout
from tests.support.engine_rig import drop, noise, opened, put, written
from tests.support.plain_rig import materialised


def build(path: Path) -> None:
    """Makes a store with all there can be.

    Sealed and unsealed, a base, branches, moves, a fork, a plain file.
    """
    with opened(path) as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/sealed", noise(40_000))
            put(branch, b"text", b"words " * 5_000)
            start = workspace.snapshot(branch, name="start").snapshot
            segments = store.layers.segments(branch.position.layer)
            branch.sync()
            put(branch, b"text", b"other " * 100)
            drop(branch, b"text")
            workspace.restore(branch, start.id)
            put(branch, b"after", noise(3_000))
            workspace.restore(branch, workspace.snapshot(branch).snapshot.id, b"text")
            workspace.make_branch("side", start)
        seal(store, segments)
        with written(store, "a") as (workspace, _):
            tree = workspace.snapshot_tree(workspace.find_snapshot("start"))
            materialised(store, tree.existing(tree.resolve(b"d/sealed")))
        with written(store, "a", "side") as (workspace, branch):
            put(branch, b"of-side", noise(9_000))
            position, _ = branch.roll()
            branch.sync()
            write_base(store, branch.position.layer, position)
            put(branch, b"on-base", b"b" * 500)
        fork_workspace(store, "a", "start", "fork")
        with written(store, "fork") as (workspace, branch):
            put(branch, b"own", noise(2_000))
            workspace.snapshot(branch)


def files_of(path: Path) -> list[Path]:
    """Returns every file below a directory."""
    return sorted(file for file in path.rglob("*") if file.is_file())


def errors(findings: list[Finding]) -> list[Finding]:
    """Returns those findings that are errors."""
    return [finding for finding in findings if finding.severity == "error"]


def paths_of(findings: list[Finding]) -> set[bytes]:
    """Returns all paths that findings touch."""
    return {path for one in findings for path in one.paths}


def damage_scratch(store: Store, segment: SegmentId, place: int) -> None:
    """Flips one bit of a segment."""
    file = store.path / layout.scratch(segment)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
