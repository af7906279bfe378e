"""Which layers a mutation brings bytes from, beside its own."""

from pyi_fs.ids import LayerId, segment_layer
from pyi_fs.model.extent import SCRATCH, ExtentList, iterate
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Share


def extents_of(mutation: Mutation) -> list[ExtentList]:
    """Returns the extent lists a mutation brings along, perhaps from outside its lineage."""
    match mutation:
        case Share():
            return [mutation.extents]
        case Adopt():
            return [mutation.inode.extents]
        case Graft():
            return [inode.extents for _, inode in mutation.inodes if inode is not None]
        case _:
            return []


def layers_of(mutation: Mutation) -> set[LayerId]:
    """Returns the layers whose segments a mutation brings extents of."""
    return {
        segment_layer(item.segment)
        for extents in extents_of(mutation)
        for item in iterate(extents)
        if item.kind == SCRATCH
    }
