"""Hypothesis strategies: names, and mutations that are valid, or nearly so, for a given tree.

Names and inodes are few, so that sequences collide: rename over, links of links, directories moved
into themselves.
"""

import stat
from collections.abc import Callable, Iterator

from hypothesis import strategies as st

from pyi_fs.errors import RequestError
from pyi_fs.ids import ROOT_INODE, ChunkId, InodeNumber, LayerId, SegmentId, segment_id
from pyi_fs.limits import FILE_BYTES_MAX
from pyi_fs.model import extent
from pyi_fs.model.edit import apply
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import (
    Adopt,
    Allocate,
    Create,
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
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree, root_only
from tests.support.oracle import Content

GOOD_NAMES = [b"a", b"b", b"c", b"d\xff\xfe", b"n" * 255]
BAD_NAMES = [b"n" * 256, b"", b".", b"..", b"a/b", b"a\0b"]
# 15 of 16 names are good, and `a` and `b` are most of those.
names = st.sampled_from(GOOD_NAMES * 15 + [b"a", b"b"] * 20 + BAD_NAMES[:5] + BAD_NAMES[5:])
arbitrary_names = st.binary(min_size=1, max_size=255).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)

_TYPES = [stat.S_IFREG] * 4 + [stat.S_IFDIR] * 5 + [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR]
_permissions = st.sampled_from([0o644, 0o755, 0o777, 0o2755, 0o2644, 0o4755, 0o6777, 0o1777, 0o600])
_ids = st.integers(0, 3)
_offsets = st.integers(0, 120)
_bad_offsets = st.sampled_from([-1, FILE_BYTES_MAX])
_lengths = st.integers(1, 48)
_times = st.integers(-(10**9), 10**18)


class Chooser:
    """Draws the parts of a mutation for one tree."""

    def __init__(self, draw: st.DrawFn, tree: Tree, content: Content, time_ns: int) -> None:
        self.draw = draw
        self.tree = tree
        self.content = content
        self.time_ns = time_ns
        self.numbers = sorted(tree.numbers())
        self.fresh = InodeNumber(tree.last_inode + 1)
        of = tree.existing
        self.directories = [number for number in self.numbers if of(number).is_directory]
        self.files = [number for number in self.numbers if of(number).is_file]
        self.dentries = [
            (number, name)
            for number in self.directories
            for name, _ in sorted(tree.entries(number))
        ]

    def seldom(self, times: int) -> bool:
        """Returns True about once in so many times."""
        return self.draw(st.integers(1, times)) == times

    def number(self, likely: list[InodeNumber]) -> InodeNumber:
        """Returns one of `likely`, seldom any inode, seldom one that is not there."""
        choice = self.draw(st.integers(0, 19))
        if choice == 19:
            return InodeNumber(self.tree.last_inode + 7)
        pool = likely if likely and choice < 18 else self.numbers
        return self.draw(st.sampled_from(pool))

    def dentry(self) -> tuple[InodeNumber, bytes]:
        """Returns a directory and a name: one that is there, or any."""
        if self.dentries and not self.seldom(6):
            return self.draw(st.sampled_from(self.dentries))
        return self.new_name()

    def new_name(self) -> tuple[InodeNumber, bytes]:
        """Returns a directory and a name that may well be free."""
        return self.number(self.directories), self.draw(names)

    def scratch(self) -> tuple[SegmentId, int, int]:
        """Puts bytes into a segment; returns its id, their offset and length."""
        segment = segment_id(LayerId(5), self.draw(st.integers(0, 1)))
        length = self.draw(_lengths)
        end = self.content.segment_end(segment) or 0
        data = bytes((segment + end + i) % 251 + 1 for i in range(length))
        return segment, self.content.append(segment, data), length


def _create(c: Chooser) -> Mutation:
    parent, name = c.new_name()
    kind = c.draw(st.sampled_from(_TYPES))
    is_link, is_device = kind == stat.S_IFLNK, kind == stat.S_IFCHR
    target = c.draw(st.sampled_from([b"a", b"../x", b"t" * 4095, b"t" * 4096])) if is_link else b""
    mode = kind | (0o777 if is_link else c.draw(_permissions))
    rdev = 259 if is_device else 0
    return Create(parent, name, c.fresh, mode, c.draw(_ids), c.draw(_ids), c.time_ns, target, rdev)


def _link(c: Chooser) -> Mutation:
    parent, name = c.new_name()
    return Link(c.number(c.files), parent, name, c.time_ns)


def _remove(c: Chooser) -> Mutation:
    return Remove(*c.dentry(), c.draw(st.booleans()), c.time_ns)


def _rename(c: Chooser) -> Mutation:
    new = c.new_name() if c.seldom(2) else c.dentry()
    flags = c.draw(st.sampled_from([0] * 8 + [2] * 5 + [1, 1, 3, 4]))
    return Rename(*c.dentry(), *new, flags, c.time_ns)


def _write(c: Chooser) -> Mutation:
    segment, source_offset, length = c.scratch()
    offset = c.draw(_bad_offsets if c.seldom(30) else _offsets)
    length = 0 if c.seldom(30) else length
    sums = b"\0" * 8
    clear = c.draw(st.booleans())
    return Write(c.number(c.files), offset, length, segment, source_offset, sums, c.time_ns, clear)


def _set_attributes(c: Chooser) -> Mutation:
    draw = c.draw
    number = c.number(c.numbers if c.seldom(2) else c.files)
    mode, uid, gid, size, atime, mtime = (None,) * 6
    what = draw(st.integers(0, 4))
    if what == 0:
        mode = draw(_permissions)
    elif what == 1:
        uid, gid = draw(st.none() | _ids), draw(st.none() | _ids)
    elif what <= 3:
        size = draw(st.sampled_from([FILE_BYTES_MAX + 1, -1]) if c.seldom(30) else _offsets)
    else:
        atime, mtime = draw(st.none() | _times), draw(st.none() | _times)
    clear = what == 1 or (what <= 3 and c.seldom(2))
    return SetAttributes(number, mode, uid, gid, size, atime, mtime, c.time_ns, clear)


def _allocate(c: Chooser) -> Mutation:
    draw = c.draw
    flags = draw(st.sampled_from([0, 1, 3, 3, 3, 16, 17, 2, 8, 18]))
    offset = draw(_bad_offsets if c.seldom(16) else _offsets)
    length = draw(st.sampled_from([0, -3]) if c.seldom(16) else _lengths)
    return Allocate(c.number(c.files), offset, length, flags, c.time_ns)


def _share(c: Chooser) -> Mutation:
    length = c.draw(_lengths)
    if c.files and not c.seldom(3):
        source = c.tree.existing(c.draw(st.sampled_from(c.files)))
        start = c.draw(_offsets)
        found = extent.overlapping(source.extents, start, start + length)
        pieces = [piece._replace(file_offset=piece.file_offset - start) for piece in found]
    else:
        chunk = ChunkId(bytes([c.fresh % 256]) * 32)
        c.content.chunks[chunk] = bytes(range(100, 200))
        pieces = [Extent(0, length, extent.CHUNK, chunk, c.draw(st.integers(0, 50)))]
    extents = extent.from_extents(pieces)
    return Share(c.number(c.files), c.draw(_offsets), length, extents, c.time_ns)


def _set_xattr(c: Chooser) -> Mutation:
    name = c.draw(st.sampled_from([b"user.a", b"user.b", b"user.\xff", b"trusted.c"]))
    return SetXattr(c.number(c.numbers), name, c.draw(st.binary(max_size=3)), c.time_ns)


def _remove_xattr(c: Chooser) -> Mutation:
    number = c.number(c.numbers)
    inode = c.tree.inode(number)
    held = [name for name, _ in inode.xattrs] if inode else []
    return RemoveXattr(number, c.draw(st.sampled_from([*held, *held, b"user.a"])), c.time_ns)


def _reap(c: Chooser) -> Mutation:
    pool = [*c.tree.unlinked_numbers(), *c.numbers[:3], c.fresh]
    return Reap(tuple(c.draw(st.lists(st.sampled_from(pool), max_size=3))))


def _adopt(c: Chooser) -> Mutation:
    if c.files and not c.seldom(3):
        inode = c.tree.existing(c.draw(st.sampled_from(c.files)))
        return Adopt(c.fresh, with_fields(inode, uid=7))
    mode = stat.S_IFREG | c.draw(_permissions)
    return Adopt(c.fresh, Inode(mode, 0, 1, 2, 0, *(c.time_ns,) * 4, ROOT_INODE, b""))


_WEIGHTS: list[tuple[int, Callable[[Chooser], Mutation]]] = [
    (8, _create),
    (5, _link),
    (4, _remove),
    (8, _rename),
    (5, _write),
    (3, _set_attributes),
    (2, _allocate),
    (2, _share),
    (2, _set_xattr),
    (1, _remove_xattr),
    (1, _reap),
    (1, _adopt),
]
_MAKERS = [maker for weight, maker in _WEIGHTS for _ in range(weight)]


@st.composite
def mutations(draw: st.DrawFn, tree: Tree, content: Content, time_ns: int) -> Mutation:
    """Returns a mutation, valid or nearly so, for `tree`; its bytes are put into `content`."""
    return draw(st.sampled_from(_MAKERS))(Chooser(draw, tree, content, time_ns))


def grown(data: st.DataObject) -> Iterator[tuple[Tree, Mutation, Tree]]:
    """Yields some mutations that are possible one after the other: the tree before and after."""
    content, tree = Content(), root_only(0o40755, 0, 0, 1)
    for step in range(data.draw(st.integers(2, 25))):
        mutation = data.draw(mutations(tree, content, step))
        try:
            new = apply(tree, mutation)
        except RequestError:
            continue
        yield tree, mutation, new
        tree = new


def marked_trees(data: st.DataObject) -> tuple[Tree, list[tuple[Tree, Touched]]]:
    """Returns a tree after some mutations, and each one before with what was touched since."""
    tree = root_only(0o40755, 0, 0, 1)
    marks: list[tuple[Tree, Touched]] = []
    for _, mutation, tree in grown(data):
        for _, touched in marks:
            touched.add(mutation)
        marks.append((tree, Touched()))
    return tree, marks
