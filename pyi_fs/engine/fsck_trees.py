"""Checks that every tree that is promised folds, is sound, and that its bytes are there.

Part of `engine/fsck.py`. Thousands of snapshots of a tree cost what has changed between them.

A writer may give back what it superseded after its tree was folded here. So what looks lost in the
*present* of a branch is looked at again: the present is folded anew, and only if the extent is
still in it, it was in it when its bytes were missed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pyi_fs.engine.findings import Report
from pyi_fs.engine.fsck_layers import Journal
from pyi_fs.engine.fsck_roots import Root
from pyi_fs.engine.fsck_scratch import Problem, ScratchCheck
from pyi_fs.engine.history import History, Step
from pyi_fs.engine.soundness import Soundness
from pyi_fs.ids import InodeNumber, LayerId, Position, layer_name
from pyi_fs.model import extent
from pyi_fs.model.check import Finding
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout
from pyi_fs.store.promotion import is_in_memory
from pyi_fs.store.storage import Storage

MakeHistory = Callable[[], History]
# Every history maps the tables it meets, and before Python 3.13 each costs a descriptor.
_LAYERS_PER_HISTORY = 200


class _Suspect(NamedTuple):
    """Bytes of a branch's present that could not be read: to be looked at again."""

    layer: LayerId
    label: str
    number: InodeNumber
    piece: Extent


class TreeCheck:
    """Folds and checks the trees of a store's roots."""

    def __init__(
        self,
        storage: Storage,
        report: Report,
        journals: Mapping[LayerId, Journal],
        scratch: ScratchCheck,
        make_history: MakeHistory,
    ) -> None:
        """Folds what `journals` says can be folded."""
        self._storage = storage
        self._report = report
        self._journals = journals
        self._scratch = scratch
        self._make_history = make_history
        self._sound: set[int] = set()
        self._suspects: list[_Suspect] = []

    def examine(self, roots: Iterable[Root]) -> None:
        """Checks the tree of every root."""
        labels: dict[LayerId, dict[int, list[Root]]] = defaultdict(lambda: defaultdict(list))
        for root in roots:
            journal = self._journals.get(root.layer)
            if root.ephemeral and self._is_lost(root):
                # No promise is broken: a power loss takes it, and so may a last logout.
                text = f"branch '{root.ephemeral}' was ephemeral, and its memory is gone"
                self._report.add("note", "memory", layout.LAYERS, text, refs=[root.label])
                continue
            if journal is None:
                text = f"layer {layer_name(root.layer)} cannot be read"
                self._report.add(
                    "error", "layer", layout.journal(root.layer), text, refs=[root.label]
                )
                continue
            offset = journal.end if root.offset is None else root.offset
            broken, text = self._broken(root)
            if broken is not None:
                path = layout.journal(broken.layer)
                self._report.add("error", "fold", path, text, refs=[root.label])
            else:
                labels[root.layer][offset].append(root)
        history = self._make_history()
        for count, layer in enumerate(sorted(labels), 1):
            self._report.looking_at(layout.journal(layer))
            refs = [root.label for roots in labels[layer].values() for root in roots]
            with self._report.examining("fold", layout.journal(layer), refs=refs):
                self._layer(history, layer, labels[layer])
            if count % _LAYERS_PER_HISTORY == 0:
                history = self._make_history()
        self._confirm()

    def _is_lost(self, root: Root) -> bool:
        broken, _ = self._broken(root)
        return broken is not None and not is_in_memory(self._storage, broken.layer)

    def _broken(self, root: Root) -> tuple[Position | None, str]:
        """Returns the place on the way to a root that its journal does not reach, and what is so.

        None if all is well.
        """
        step: Position | None = Position(root.layer, root.offset or 0)
        passed: set[LayerId] = set()
        while step is not None:
            journal = self._journals.get(step.layer)
            if step.layer in passed:
                return step, "begins with itself: its parents go in a circle"
            if journal is None or step.offset > journal.end:
                return step, f"does not reach position {step.offset}"
            passed.add(step.layer)
            has_base = self._storage.exists(layout.base(step.layer))
            step = journal.header.parent if not has_base else None
        return None, ""

    def _layer(self, history: History, layer: LayerId, roots: Mapping[int, list[Root]]) -> None:
        """Checks the trees of a layer: the first one whole, then what changed as long as it can."""
        soundness = Soundness()
        missing: set[InodeNumber] = set()
        for step in history.steps(layer, roots, soundness.changes.add):
            position, labels = Position(layer, step.offset), roots[step.offset]
            for finding in soundness.findings(step.tree):
                self._unsound(step.tree, finding, position, labels)
            missing = self._bytes(step, missing, position, labels)

    def _unsound(self, tree: Tree, finding: Finding, position: Position, roots: list[Root]) -> None:
        text = f"{finding.invariant}: inode {finding.inode}: {finding.message}"
        paths = tree.paths(finding.inode) if finding.inode is not None else []
        fixed, present = _labels(roots)
        path = layout.journal(position.layer)
        self._report.add("error", "tree", path, text, paths=paths, refs=fixed + present)

    def _bytes(
        self, step: Step, missing: set[InodeNumber], position: Position, roots: list[Root]
    ) -> set[InodeNumber]:
        """Looks for the bytes of all files that changed, and of those that missed some before.

        Returns which miss some now.
        """
        tree = step.tree
        numbers = tree.numbers() if step.changed is None else step.changed | missing
        problems = {number: found for number in numbers if (found := self._missed(tree, number))}
        # In the order of the tree, which is that of the paths in the report.
        fixed, present = _labels(roots)
        for number in filter(problems.__contains__, tree.numbers() if problems else ()):
            for piece, problem in problems[number]:
                if fixed:
                    self._lost(tree, number, problem, position, fixed)
                for label in present:
                    self._suspects.append(_Suspect(position.layer, label, number, piece))
        return set(problems)

    def _missed(self, tree: Tree, number: InodeNumber) -> list[tuple[Extent, Problem]]:
        inode = tree.inode(number)
        if inode is None or not inode.extents or hash(inode.extents) in self._sound:
            return []
        problems = list(self._problems(inode.extents))
        if not problems:
            self._sound.add(hash(inode.extents))
        return problems

    def _problems(self, extents: ExtentList) -> Iterator[tuple[Extent, Problem]]:
        for piece in extent.iterate(extents):
            for problem in self._scratch.problems(piece):
                yield piece, problem

    def _lost(
        self,
        tree: Tree,
        number: InodeNumber,
        problem: Problem,
        position: Position,
        refs: list[str],
    ) -> None:
        paths = tree.paths(number) or [b"(unlinked inode %d)" % number]
        if position.offset <= self._journals[position.layer].promised:
            self._report.add("error", "data", problem.file, problem.message, paths=paths, refs=refs)
        else:
            text = f"{problem.message}; lost with another boot, never synced"
            self._report.add("warning", "data", problem.file, text, paths=paths, refs=refs)

    def _confirm(self) -> None:
        by_layer: dict[LayerId, list[_Suspect]] = defaultdict(list)
        for suspect in self._suspects:
            by_layer[suspect.layer].append(suspect)
        for layer, suspects in by_layer.items():
            refs = [suspect.label for suspect in suspects]
            with self._report.examining("fold", layout.journal(layer), refs=refs):
                tree, position = self._make_history().end(layer)
                self._scratch.forget(layer)
                for suspect in suspects:
                    for piece in _still_there(tree, suspect):
                        for problem in self._scratch.problems(piece):
                            self._lost(tree, suspect.number, problem, position, [suspect.label])


def _labels(roots: list[Root]) -> tuple[list[str], list[str]]:
    """Returns what is called by positions that stay, and what by a present."""
    fixed = [root.label for root in roots if root.offset is not None]
    return fixed, [root.label for root in roots if root.offset is None]


def _still_there(tree: Tree, suspect: _Suspect) -> list[Extent]:
    """Returns what is still in the tree of the bytes that were missed."""
    inode = tree.inode(suspect.number)
    if inode is None:
        return []
    missed = suspect.piece
    shift = missed.source_offset - missed.file_offset
    return [
        piece
        for piece in extent.overlapping(inode.extents, missed.file_offset, missed.end)
        if (piece.kind, piece.source) == (missed.kind, missed.source)
        and piece.source_offset - piece.file_offset == shift
    ]
