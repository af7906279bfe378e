"""The worker program of a mount: `pyi_fs.cli.worker STORE table|seal|root|gc|release ...`.

Not for people.

If its standard input is a pipe, it ends when that is closed: when who started it is gone. Being
killed at any moment loses nothing.
"""

import os
import signal
import stat
import sys
import threading
from pathlib import Path

from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.collecting import collect_if_due
from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.release import release
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.ids import LayerId, Position, SegmentId, SnapshotId, WorkspaceName

# Below the requests of the mount and the tools that make them.
_NICENESS = 10


def worker_command(store: Path) -> list[str]:
    """Returns the command line that starts a worker on a store; its arguments are appended."""
    return [sys.executable, "-P", "-m", "pyi_fs.cli.worker", os.fspath(store)]


def main() -> int:
    """Does one piece of work; 0 when it is done and durable, 1 with a line on standard error."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_end_with_input, daemon=True).start()
    os.nice(_NICENESS)
    path, kind, *arguments = sys.argv[1:]
    store = Store.open(Path(path), create=False)
    try:
        if kind == "table":
            layer, parent, offset = arguments
            write_base(
                store, LayerId(int(layer, 16)), Position(LayerId(int(parent, 16)), int(offset))
            )
        elif kind == "root":
            workspace, *snapshots = arguments
            seal_snapshots(
                store, WorkspaceName(workspace), [SnapshotId(snapshot) for snapshot in snapshots]
            )
        elif kind == "seal":
            seal(store, [SegmentId(int(segment, 16)) for segment in arguments])
        elif kind == "gc":
            collect_if_due(store)
        elif kind == "release":
            release(store)
        else:
            print(f"unknown work: {kind}", file=sys.stderr)
            return 2
    finally:
        store.close()
    return 0


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
