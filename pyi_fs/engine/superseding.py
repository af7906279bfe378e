"""Telling scratch what a mutation takes out of a branch's tree: what may be given back."""

from pyi_fs.model import extent
from pyi_fs.model.mutation import Mutation, Share
from pyi_fs.model.superseded import superseded
from pyi_fs.model.tree import Tree
from pyi_fs.store.scratch import ScratchWriter


def note_superseded(scratch: ScratchWriter, old: Tree, mutation: Mutation) -> None:
    """Notes the ranges that were part of `old` and are not of the tree after the mutation."""
    for number, start, end in superseded(old, mutation):
        inode = old.inode(number)
        if inode is None or start >= min(end, inode.size):
            continue
        for piece in extent.overlapping(inode.extents, start, min(end, inode.size)):
            if piece.kind == extent.SCRATCH:
                scratch.supersede(piece.segment, piece.source_offset, piece.length)
    if isinstance(mutation, Share):
        # Two files may hold the same range from now on: one alone never makes it garbage.
        scratch.mark_refs()
