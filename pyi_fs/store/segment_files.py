"""The files of segments, whoever wrote them: which there are, and making them durable."""

import errno

from pyi_fs.ids import LayerId, SegmentId, segment_id
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage


def sync_file(storage: Storage, path: str, doubtful: set[str]) -> None:
    """Makes the content of a file durable that this process does not have open for appending.

    A path whose sync fails goes to `doubtful`, the caller's own: another try would succeed without
    proving anything, so it fails from then on.
    """
    if path in doubtful:
        raise OSError(errno.EIO, "an earlier sync of it failed, so it may be on no disk", path)
    file = storage.open_append(path)
    try:
        file.sync()
    except OSError:
        doubtful.add(path)
        raise
    finally:
        file.close()


def segments_of(storage: Storage, layer: LayerId) -> list[SegmentId]:
    """Returns the segments of a layer that are files, in order."""
    names = storage.list(layout.layer_directory(layer))
    indexes = sorted(index for index in map(layout.segment_of, names) if index is not None)
    return [segment_id(layer, index) for index in indexes]


def next_segment_index(storage: Storage, layer: LayerId) -> int:
    """Returns an index that no segment of the layer has or had.

    Runs and maps of removed ones count too.
    """
    indexes = [0]
    for name in storage.list(layout.layer_directory(layer)):
        for prefix in ("scratch-", "runs-", "map-"):
            found = layout.segment_of(name, prefix)
            if found is not None:
                indexes.append(found + 1)
    return max(indexes)
