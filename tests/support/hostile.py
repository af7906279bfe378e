"""What no writer writes, behind right checksums: mutations and operations for the fuzzers.

Numbers, names and positions are few, so that they collide; beside them are the bounds of words.
"""

import stat
from collections.abc import Sequence

from hypothesis import strategies as st

from pyi_fs.ids import InodeNumber, LayerId, Position, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import (
    Adopt,
    Allocate,
    Create,
    Graft,
    Link,
    Mutation,
    Reap,
    Remove,
    RemoveXattr,
    Rename,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.model.operation import (
    Begin,
    Continue,
    DeleteSnapshot,
    DropBranch,
    MakeBranch,
    MoveBranch,
    NameSnapshot,
    Operation,
    PinSnapshot,
    Reserve,
    RestorePath,
    SealSnapshot,
    SwitchHead,
    TakeSnapshot,
    UndropBranch,
    UnpinSnapshot,
    Void,
)
from tests.support.drawing import weighted

small = st.integers(1, 9).map(InodeNumber)
_odd_numbers = st.sampled_from([0, 50, 51, -1, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1])
numbers = weighted(((3, small), (1, _odd_numbers.map(InodeNumber))))
sizes = st.sampled_from([0, 1, 4096, 5000, -1, 2**40, 2**62, 2**63 - 1, 2**64 - 1])
good_names = st.sampled_from([b"a", b"b", b"top", b"file"])
_odd_names = st.sampled_from([b"", b".", b"..", b"x/y", b"\0", b"n" * 255, b"n" * 300])
names = weighted(((2, good_names), (1, _odd_names)))
times = st.sampled_from([0, 1, -1, 2**63 - 1, 2**64 - 1])
good_modes = st.sampled_from([stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777])
modes = weighted(((2, good_modes), (1, st.sampled_from([0, 0o170000, -1, 2**40]))))
segments = st.sampled_from([0, 1 << 24, 2**63 - 1, 2**64 - 1]).map(SegmentId)
extents: st.SearchStrategy[ExtentList] = st.one_of(
    st.sampled_from([b"", b"short", bytes(56), b"\xff" * 56, b"\xff" * 112, (b"", b"x"), ()]),
    st.builds(
        lambda start, length, kind, offset: extent.pack(
            Extent(start, length, kind, b"\1" * 32, offset)
        ),
        st.sampled_from([0, 1, 2**63]),
        st.sampled_from([0, 1, 2**32 - 1]),
        st.sampled_from([0, 1, 2, 3]),
        st.sampled_from([0, 2**63]),
    ),
)


@st.composite
def inodes(draw: st.DrawFn) -> Inode:
    """Draws a record that is nearly right."""
    mode = draw(modes)
    links = draw(st.lists(st.tuples(small, good_names), max_size=2))
    is_wild = draw(st.integers(0, 9)) == 0
    return Inode(
        mode,
        draw(st.sampled_from([0, 1, 2, 2, 3, 4])),
        0,
        0,
        draw(sizes) if is_wild else 0,
        1,
        1,
        draw(times) if is_wild else 1,
        1,
        draw(numbers if is_wild else small),
        draw(names if is_wild else good_names),
        extents=draw(extents) if is_wild else b"",
        links=tuple(links) if draw(st.booleans()) else (),
    )


@st.composite
def grafts(draw: st.DrawFn) -> Graft:
    """Draws records, and for most of them the dentries that they name."""
    replaced = weighted(((1, st.none()), (2, inodes())))
    records = draw(st.lists(st.tuples(numbers, replaced), max_size=3))
    dentries = [
        (parent, name, number)
        for number, inode in records
        if inode is not None and draw(st.integers(0, 4))
        for parent, name in inode.dentries()
    ]
    more = st.tuples(numbers, names, st.one_of(st.just(InodeNumber(0)), numbers))
    dentries += draw(st.lists(more, max_size=2))
    return Graft(tuple(records), tuple(dentries))


possible: st.SearchStrategy[Mutation] = st.one_of(
    st.builds(Create, small, good_names, small, good_modes, st.just(0), st.just(0), st.just(1)),
    st.builds(Link, small, small, good_names, st.just(1)),
    st.builds(Remove, small, good_names, st.booleans(), st.just(1)),
    st.builds(Rename, small, good_names, small, good_names, st.sampled_from([0, 1, 2]), st.just(1)),
    st.builds(Adopt, small, inodes()),
    st.builds(Reap, st.lists(small, max_size=2).map(tuple)),
    grafts(),
)
"""Those that can make a tree with a circle, an island or a number used twice."""

_anything: tuple[st.SearchStrategy[Mutation], ...] = (
    st.builds(Create, numbers, names, numbers, modes, sizes, sizes, times),
    st.builds(Link, numbers, numbers, names, times),
    st.builds(Remove, numbers, names, st.booleans(), times),
    st.builds(Rename, numbers, names, numbers, names, st.sampled_from([0, 1, 2, 7, -1]), times),
    st.builds(Write, numbers, sizes, sizes, segments, sizes, st.binary(max_size=20), times),
    st.builds(SetAttributes, numbers, st.none(), st.none(), st.none(), sizes, times, times, times),
    st.builds(Allocate, numbers, sizes, sizes, st.sampled_from([0, 1, 3, 16, 99]), times),
    st.builds(SetXattr, numbers, names, st.binary(max_size=5), times),
    st.builds(RemoveXattr, numbers, names, times),
    st.builds(Share, numbers, sizes, sizes, extents, times),
    st.builds(Reap, st.lists(numbers, max_size=2).map(tuple)),
    st.builds(Adopt, numbers, inodes()),
)
mutations: st.SearchStrategy[Mutation] = weighted(
    ((len(_anything), possible), *((1, each) for each in _anything))
)
"""Half of them could be right."""


def operations(layers: Sequence[int], ends: Sequence[int]) -> st.SearchStrategy[Operation]:
    """Gives operations whose positions are in these layers, or in none; their offsets at `ends`."""
    layer = st.sampled_from([*layers, *layers, 0, 1, -1, 2**40 - 1, 2**40, 2**64 - 1]).map(LayerId)
    offset = st.sampled_from([*ends, *ends, 0, 1, -1, 2**40, 2**63 - 1, 2**64 - 1])
    position = st.builds(Position, layer, offset)
    branch = st.sampled_from(["main", "main", "side", "new", "", "..", "a/b", "x" * 200, "\n"])
    snapshot = st.sampled_from(
        [
            "1-000000",
            "2-abcdef",
            "9-abcdef",
            "9-000000",
            "9",
            "-",
            "x",
            "",
            "9" * 5000 + "-a",
            "../../x",
            "1-\0",
        ]
    )
    maybe = st.one_of(st.none(), snapshot)
    name = st.sampled_from(["", "s", "t", "..", "a/b", "1", "x" * 300, "\x1b[2J"])
    count = st.sampled_from([0, 1, -1, 2**63 - 1, 2**64 - 1])
    return st.one_of(
        st.builds(Begin, times, branch, position, name, count),
        st.builds(Reserve, count),
        st.builds(Continue, branch, layer),
        st.builds(
            TakeSnapshot, times, branch, snapshot, position, count, count, count, maybe, name, name
        ),
        st.builds(NameSnapshot, times, branch, snapshot, name, name),
        st.builds(DeleteSnapshot, times, snapshot, name),
        st.builds(MakeBranch, times, branch, position, maybe, st.booleans()),
        st.builds(DropBranch, times, branch, count, count),
        st.builds(UndropBranch, times, branch, count, count),
        st.builds(SwitchHead, times, branch, branch),
        st.builds(MoveBranch, times, branch, position, position, maybe, maybe, maybe, count, count),
        st.builds(RestorePath, times, branch, position, snapshot, st.binary(max_size=9), maybe),
        st.builds(Void, times, layer, offset),
        st.builds(SealSnapshot, snapshot, st.binary(max_size=40)),
        st.builds(PinSnapshot, times, snapshot),
        st.builds(UnpinSnapshot, times, snapshot),
    )
