"""Checks the tree objects of sealed snapshots. Part of `engine/fsck.py`."""

from collections.abc import Iterator, Mapping

from pyi_fs.engine.findings import Report
from pyi_fs.engine.fsck_chunks import ChunkCheck
from pyi_fs.errors import PyiError
from pyi_fs.format.treeobject import FileContent, TreeEntry, decode_tree_object
from pyi_fs.ids import ChunkId, TreeObjectId
from pyi_fs.model.extent import CHUNK, Extent


def examine_objects(
    report: Report, chunks: ChunkCheck, roots: Mapping[TreeObjectId, list[str]]
) -> None:
    """Checks that every object below the content roots decodes and every chunk it names is there.

    `roots`: content roots with the snapshots they are of. Each object is read once, however many
    snapshots share it, and its damage is named with the first of them.
    """
    seen: set[TreeObjectId] = set()
    for root, labels in roots.items():
        waiting = [(b"", root)]
        while waiting:
            path, object_id = waiting.pop()
            if object_id in seen:
                continue
            seen.add(object_id)
            for entry in _entries(report, chunks, object_id, path, labels):
                below = path + b"/" + entry.name if path else entry.name
                if isinstance(entry.content, FileContent):
                    for problem in _missing(chunks, entry.content):
                        report.add("error", "object", "packs", problem, paths=[below], refs=labels)
                elif entry.mode & 0o170000 == 0o040000:
                    waiting.append((below, TreeObjectId(entry.content)))


def _entries(
    report: Report, chunks: ChunkCheck, object_id: TreeObjectId, path: bytes, labels: list[str]
) -> list[TreeEntry]:
    try:
        return decode_tree_object(chunks.read(ChunkId(object_id)), object_id)
    except (PyiError, OSError) as error:
        text = f"tree object {object_id.hex()}: {error}"
        report.add("error", "object", "packs", text, paths=[path or b"."], refs=labels)
        return []


def _missing(chunks: ChunkCheck, content: FileContent) -> Iterator[str]:
    for chunk, length in content.pieces:
        problem = None
        if chunk is not None:
            problem = chunks.problem(Extent(0, length, CHUNK, chunk, 0))
        if problem is not None:
            yield problem
