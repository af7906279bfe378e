"""Checks the tree objects of sealed snapshots. Part of `engine/fsck.py`.

Each object is read once, however many snapshots share it. Only what is damaged is looked for in all
of them: which paths of which snapshots it touches. What they say of files is not compared with the
files.
"""

from collections import defaultdict
from collections.abc import Mapping

from pyi_fs.engine.findings import PATHS_MAX, Report
from pyi_fs.engine.fsck_chunks import ChunkCheck
from pyi_fs.errors import PyiError
from pyi_fs.format.treeobject import TreeEntry, decode_tree_object
from pyi_fs.ids import ChunkId, TreeObjectId

Problems = dict[TreeObjectId, str]
"""Damaged objects, and what is wrong with them."""


def examine_objects(
    report: Report, chunks: ChunkCheck, roots: Mapping[TreeObjectId, list[str]]
) -> None:
    """Checks that every object below the content roots is there and decodes.

    `roots`: content roots with the snapshots they are of.
    """
    problems: Problems = {}
    above: dict[TreeObjectId, set[TreeObjectId]] = defaultdict(set)
    waiting, seen = list(roots), set(roots)
    while waiting:
        object_id = waiting.pop()
        for entry in _entries(chunks, object_id, problems):
            if _is_directory(entry):
                child = TreeObjectId(entry.content)
                above[child].add(object_id)
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
    if problems:
        touched = _with_all_above(problems, above)
        for root, labels in roots.items():
            if root in touched:
                _name(report, chunks, root, labels, problems, touched)


def _with_all_above(
    problems: Problems, above: Mapping[TreeObjectId, set[TreeObjectId]]
) -> set[TreeObjectId]:
    """Returns the damaged objects and every one that they are below."""
    found, waiting = set(problems), list(problems)
    while waiting:
        new = above.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _name(
    report: Report,
    chunks: ChunkCheck,
    root: TreeObjectId,
    labels: list[str],
    problems: Problems,
    touched: set[TreeObjectId],
) -> None:
    """Adds what is damaged below a root, by its paths there; so many at most as are kept."""
    waiting = [(b"", root)]
    count = 0
    while waiting and count < PATHS_MAX:
        path, object_id = waiting.pop()
        if object_id in problems:
            text = problems[object_id]
            report.add("error", "object", "packs", text, paths=[path or b"."], refs=labels)
            count += 1
            continue
        for entry in _entries(chunks, object_id, {}):
            if _is_directory(entry) and entry.content in touched:
                below = path + b"/" + entry.name if path else entry.name
                waiting.append((below, TreeObjectId(entry.content)))


def _is_directory(entry: TreeEntry) -> bool:
    return entry.mode & 0o170000 == 0o040000 and isinstance(entry.content, bytes)


def _entries(chunks: ChunkCheck, object_id: TreeObjectId, problems: Problems) -> list[TreeEntry]:
    try:
        return decode_tree_object(chunks.read(ChunkId(object_id)), object_id)
    except (PyiError, OSError) as error:
        problems[object_id] = f"tree object {object_id.hex()}: {error}"
        return []
