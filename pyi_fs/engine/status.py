"""What `.pyi/status` shows of a branch."""

from pyi_fs.engine.branch import Branch
from pyi_fs.model.refs import Refs
from pyi_fs.store.layer_writer import LayerWriter


def branch_status(refs: Refs, is_log_synced: bool, branch: Branch) -> dict[str, object]:
    """Returns the fields of an open branch. O(segments open here), no walk."""
    writers = branch.writers()
    ephemeral = _ephemeral_status(branch, writers) if branch.is_ephemeral else {}
    appended = sum(writer.scratch.appended_bytes for writer in writers)
    returned = sum(writer.scratch.returned_bytes for writer in writers)
    return {
        "branch": branch.name,
        "generation": branch.generation,
        "last_snapshot": branch.last,
        "changed": branch.is_changed,
        "snapshots": len(refs.snapshots),
        "branches": len(refs.live),
        "inodes_changed": len(branch.tree.inodes),
        "unlinked": len(branch.tree.unlinked),
        "written_bytes": branch.written_bytes,
        "scratch_bytes": appended - returned,
        "returned_bytes": returned,
        "garbage_bytes": sum(writer.scratch.garbage_bytes for writer in writers),
        "journal_bytes": sum(writer.end for writer in writers),
        "synced": branch.is_synced and is_log_synced,
        "read_only": branch.read_only,
        "ephemeral": branch.is_ephemeral,
        **ephemeral,
    }


def _ephemeral_status(branch: Branch, writers: list[LayerWriter]) -> dict[str, object]:
    """Returns what only an ephemeral branch has: what of it is where, and what was lost.

    `spilled`: it goes on on disk, for want of memory.
    """
    in_memory = [writer for writer in writers if writer.bound is not None]
    scratch = [writer.scratch for writer in in_memory]
    used = sum(one.appended_bytes - one.returned_bytes for one in scratch)
    return {
        "memory_bytes": used + sum(writer.end for writer in in_memory),
        "spilled": branch.writer is not None and branch.writer.bound is None,
        **({"lost": branch.loss} if branch.loss else {}),
    }
