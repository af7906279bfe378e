"""What `.pyi/status` shows of a branch."""

from pyi_fs.engine.branch import Branch
from pyi_fs.model.refs import Refs


def branch_status(refs: Refs, is_log_synced: bool, branch: Branch) -> dict[str, object]:
    """Returns the fields of an open branch. O(segments open here), no walk."""
    writers = branch.writers()
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
    }
