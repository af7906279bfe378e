"""The name of every file in a store, and the parser back.

format                              one line: `pyi-fs store VERSION`
index.sqlite                        chunk index, leases
leases/HEX                          what a process reads that may leave the logs
packs/xx/HEX.pack                   immutable packs
plain/xx/KEY-CONTENT                whole files for the kernel to read: a cache
plain/xx/lock                       held by who makes one, and against it
chunks.lock                         held by who puts chunks, and against the collector
gc.lock                             held by the collector
gc.settings                         how the store is collected, if not by default
gc.last                             what the last collection did
reserve                             room for what gives room back
layers/xx/LAYER/journal             mutations of a layer
layers/xx/LAYER/scratch-NNNNNN      its data segments
layers/xx/LAYER/runs-NNNNNN         checksums of a closed segment
layers/xx/LAYER/map-NNNNNN          where a sealed segment's bytes are now
layers/xx/LAYER/base                base table: the tree at the layer's parent position
layers/xx/LAYER/synced              how far the journal was durable
layers/xx/LAYER/noted               the same, found out by somebody else than its writer
layers/xx/LAYER/pins                who starts from this layer
workspaces/NAME/log                 operations log
workspaces/NAME/synced              how far the log was durable
workspaces/NAME/usage               who held how much, and when
workspaces/NAME/locks/BRANCH        the lock of a branch's writer
"""

from pyi_fs.ids import (
    BranchName,
    LayerId,
    SegmentId,
    WorkspaceName,
    layer_name,
    segment_index,
    segment_layer,
)

FORMAT = "format"
LAYERS = "layers"
WORKSPACES = "workspaces"
INDEX = "index.sqlite"
CHUNKS_LOCK = "chunks.lock"
COLLECTOR_LOCK = "gc.lock"
LEASES = "leases"
COLLECTOR_SETTINGS = "gc.settings"
COLLECTOR_RECORD = "gc.last"
RESERVE = "reserve"


def layer_directory(layer: LayerId) -> str:
    """Returns a layer's directory."""
    name = layer_name(layer)
    return f"{LAYERS}/{name[:2]}/{name}"


def journal(layer: LayerId) -> str:
    """Returns a layer's journal."""
    return f"{layer_directory(layer)}/journal"


def base(layer: LayerId) -> str:
    """Returns a layer's base table."""
    return f"{layer_directory(layer)}/base"


def synced(layer: LayerId) -> str:
    """Returns the note of how far a layer's journal is durable."""
    return f"{layer_directory(layer)}/synced"


def noted(layer: LayerId) -> str:
    """Returns the note of how far somebody else than its writer made a layer's journal durable."""
    return f"{layer_directory(layer)}/noted"


def pins(layer: LayerId) -> str:
    """Returns the list of who starts from a layer."""
    return f"{layer_directory(layer)}/pins"


def scratch(segment: SegmentId) -> str:
    """Returns a data segment's file."""
    return f"{layer_directory(segment_layer(segment))}/scratch-{segment_index(segment):06d}"


def runs(segment: SegmentId) -> str:
    """Returns the checksums of a closed segment."""
    return f"{layer_directory(segment_layer(segment))}/runs-{segment_index(segment):06d}"


def seal_map(segment: SegmentId) -> str:
    """Returns the map of a sealed segment."""
    return f"{layer_directory(segment_layer(segment))}/map-{segment_index(segment):06d}"


def segment_of(name: str, prefix: str = "scratch-") -> int | None:
    """Returns the index in a segment's file name (`scratch-000003`: 3), or None for other names."""
    digits = name.removeprefix(prefix)
    # As it is written, and no other digits of the world: else two names would be one segment.
    is_index = digits.isascii() and digits.isdecimal() and 6 <= len(digits) <= 8
    if not name.startswith(prefix) or not is_index:
        return None
    index = int(digits)
    return index if f"{index:06d}" == digits and index <= 0xFFFFFF else None


def layer_of(name: str) -> LayerId | None:
    """Returns the layer a directory name stands for, or None."""
    try:
        return LayerId(int(name, 16)) if len(name) == 10 else None
    except ValueError:
        return None


def workspace_directory(name: WorkspaceName) -> str:
    """Returns a workspace's directory."""
    return f"{WORKSPACES}/{name}"


def operations_log(name: WorkspaceName) -> str:
    """Returns a workspace's operations log."""
    return f"{WORKSPACES}/{name}/log"


def log_synced(name: WorkspaceName) -> str:
    """Returns the note of how far a workspace's operations log is durable."""
    return f"{WORKSPACES}/{name}/synced"


def usage_record(name: WorkspaceName) -> str:
    """Returns the note of who held how much of a workspace, and when."""
    return f"{WORKSPACES}/{name}/usage"


def branch_lock(name: WorkspaceName, branch: BranchName) -> str:
    """Returns the lock file of a branch's writer."""
    return f"{WORKSPACES}/{name}/locks/{branch}"
