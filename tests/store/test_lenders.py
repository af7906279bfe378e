"""Which mutations bring bytes of other layers along."""

from pyi_fs.ids import InodeNumber, LayerId, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Reap, Share, Write
from pyi_fs.store.lenders import extents_of, layers_of


def scratch(layer: int) -> Extent:
    source = extent.scratch_source(SegmentId(layer << 24))
    return Extent(0, 10, extent.SCRATCH, source, 0)


def test_mutations_bring_the_extents_of_other_layers_along() -> None:
    mixed = extent.from_extents([scratch(5), Extent(10, 5, extent.CHUNK, b"c" * 32, 0)])
    inode = Inode(0o100644, 1, 0, 0, 15, 1, 1, 1, 1, InodeNumber(1), b"f", mixed)
    number = InodeNumber(2)
    lenders: list[Mutation] = [
        Share(number, 0, 15, mixed, 1),
        Adopt(number, inode),
        Graft(((number, inode), (InodeNumber(3), None)), ()),
    ]
    for mutation in lenders:
        assert extents_of(mutation) == [mixed]
        assert layers_of(mutation) == {LayerId(5)}
    assert layers_of(Reap((number,))) == set()
    assert extents_of(Write(number, 0, 1, SegmentId(5 << 24), 0, b"", 1)) == []
