"""Every invariant of a tree: one function each, one sentence each; `check` runs them all.

A check walks the whole tree, so it belongs to tests, to `Workspace(…, verify=True)` and to looking
for damage; nothing on the way of a request calls it. It works on a tree over any base and trusts
nothing: a broken tree gives findings, not exceptions.
"""

import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyi_fs import limits
from pyi_fs.ids import ROOT_INODE, InodeNumber, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.inode import Inode
from pyi_fs.model.tree import Tree

SegmentEnd = Callable[[SegmentId], int | None]
"""Returns how many bytes a scratch segment has; None if there is no such segment."""

_TYPES = (
    stat.S_IFREG,
    stat.S_IFDIR,
    stat.S_IFLNK,
    stat.S_IFIFO,
    stat.S_IFSOCK,
    stat.S_IFCHR,
    stat.S_IFBLK,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant: its name, the inode (None: the tree itself), and what is wrong."""

    invariant: str
    inode: InodeNumber | None
    message: str


_Complaint = tuple[InodeNumber | None, str]


class _Records:
    """What an invariant of single records looks at."""

    def __init__(self, inodes: dict[InodeNumber, Inode]) -> None:
        self.inodes = inodes


class _Facts(_Records):
    """The tree read once: records by number, dentries by directory and by what they point at."""

    def __init__(self, tree: Tree, segment_end: SegmentEnd | None) -> None:
        super().__init__({})
        self.tree = tree
        self.segment_end = segment_end
        self.numbers = list(tree.numbers())
        for number in self.numbers:
            inode = tree.inode(number)
            if inode is not None:
                self.inodes[number] = inode
        self.names: dict[InodeNumber, list[tuple[bytes, InodeNumber]]] = {}
        for number, inode in self.inodes.items():
            names = list(tree.entries(number))
            if names or inode.is_directory:
                self.names[number] = names
        self.dentries: dict[InodeNumber, list[tuple[InodeNumber, bytes]]] = {}
        for directory, names in self.names.items():
            for name, child in names:
                self.dentries.setdefault(child, []).append((directory, name))

    def files(self) -> Iterator[tuple[InodeNumber, Inode]]:
        """Yields all that is not a directory."""
        return ((number, inode) for number, inode in self.inodes.items() if not inode.is_directory)

    def directories(self) -> Iterator[tuple[InodeNumber, Inode]]:
        """Yields all directories."""
        return ((number, inode) for number, inode in self.inodes.items() if inode.is_directory)


def check(tree: Tree, segment_end: SegmentEnd | None = None) -> list[Finding]:
    """Returns what is wrong with a tree: empty if all invariants hold. O(tree).

    With `segment_end`, scratch extents are also compared with the length of their segments.
    """
    facts = _Facts(tree, segment_end)
    return [
        Finding(invariant.__name__, number, message)
        for invariant in INVARIANTS
        for number, message in invariant(facts)
    ]


def has_sound_fields(inodes: dict[InodeNumber, Inode]) -> bool:
    """Returns whether records hold all invariants that are about a single record."""
    records = _Records(inodes)
    return not any(next(invariant(records), None) for invariant in _OF_RECORDS)


def root_is_a_directory(facts: _Facts) -> Iterator[_Complaint]:
    """The root exists, is a directory, its own parent, and has no name."""
    root = facts.inodes.get(ROOT_INODE)
    if root is None or not root.is_directory or root.nlink == 0:
        yield ROOT_INODE, "there is no root directory"
    elif (root.parent, root.name, root.links) != (ROOT_INODE, b"", ()):
        yield ROOT_INODE, f"the root says it is {root.name!r} in {root.parent}"


def every_number_has_one_record(facts: _Facts) -> Iterator[_Complaint]:
    """Every number that a tree lists is listed once and has a record."""
    for number, times in Counter(facts.numbers).items():
        if times > 1:
            yield number, f"listed {times} times"
        if number not in facts.inodes:
            yield number, "listed without a record"


def last_inode_bounds_all_numbers(facts: _Facts) -> Iterator[_Complaint]:
    """No number is larger than `last_inode`, which is not smaller than that of the base."""
    tree = facts.tree
    if tree.last_inode > limits.INODE_NUMBER_MAX or tree.last_inode < tree.base.last_inode:
        yield None, f"last inode is {tree.last_inode}, that of the base {tree.base.last_inode}"
    for number in facts.inodes:
        if not 0 < number <= tree.last_inode:
            yield number, f"the last inode is {tree.last_inode}"


def every_dentry_resolves(facts: _Facts) -> Iterator[_Complaint]:
    """Every dentry points at a record that has links."""
    for directory, names in facts.names.items():
        for name, child in names:
            inode = facts.inodes.get(child)
            if inode is None:
                yield directory, f"{name!r} points at {child}, which is not there"
            elif inode.nlink == 0:
                yield directory, f"{name!r} points at {child}, which is unlinked"


def lookup_agrees_with_entries(facts: _Facts) -> Iterator[_Complaint]:
    """A directory lists each name once, and looking the name up gives the same number."""
    for directory, names in facts.names.items():
        if len(dict(names)) != len(names):
            yield directory, "a name is listed twice"
        for name, child in names:
            if facts.tree.lookup(directory, name) != child:
                yield directory, f"{name!r} is listed as {child} but not found as such"


def only_linked_directories_have_entries(facts: _Facts) -> Iterator[_Complaint]:
    """Only a directory that is itself linked has entries."""
    for number, names in facts.names.items():
        inode = facts.inodes[number]
        if names and (inode.nlink == 0 or not inode.is_directory):
            yield number, f"has {len(names)} entries"


def names_are_valid(facts: _Facts) -> Iterator[_Complaint]:
    """A name has 1 to `NAME_BYTES_MAX` bytes, no slash and no NUL, and is not a dot or two."""
    for directory, names in facts.names.items():
        for name, _ in names:
            bad = name in (b"", b".", b"..") or b"/" in name or b"\0" in name
            if bad or len(name) > limits.NAME_BYTES_MAX:
                yield directory, f"bad name: {name!r}"


def dentries_are_those_of_the_record(facts: _Facts) -> Iterator[_Complaint]:
    """Every inode but the root is reached by exactly the dentries its record names."""
    for number, inode in facts.inodes.items():
        if number == ROOT_INODE:
            continue
        found, named = facts.dentries.get(number, []), inode.dentries()
        if sorted(found) != sorted(named):
            yield number, f"reached as {sorted(found)}, but its record says {sorted(named)}"


def unlinked_is_complete(facts: _Facts) -> Iterator[_Complaint]:
    """`tree.unlinked` is exactly the inodes with no link."""
    listed = set(facts.tree.unlinked_numbers())
    for number, inode in facts.inodes.items():
        if (inode.nlink == 0) != (number in listed):
            yield number, f"nlink {inode.nlink}, listed as unlinked: {number in listed}"
    for number in listed - facts.inodes.keys():
        yield number, "unlinked without a record"


def files_count_their_dentries(facts: _Facts) -> Iterator[_Complaint]:
    """`nlink` of a file is the number of its dentries, at most `LINKS_MAX`."""
    for number, inode in facts.files():
        found = len(facts.dentries.get(number, []))
        if inode.nlink != found or found > limits.LINKS_MAX:
            yield number, f"nlink {inode.nlink}, dentries {found}"


def directories_count_their_subdirectories(facts: _Facts) -> Iterator[_Complaint]:
    """`nlink` of a linked directory is 2 and its subdirectories, at most `LINKS_MAX`."""
    for number, inode in facts.directories():
        children = (facts.inodes.get(child) for _, child in facts.names[number])
        expected = 2 + sum(child is not None and child.is_directory for child in children)
        if inode.nlink and (inode.nlink != expected or expected > limits.LINKS_MAX):
            yield number, f"nlink {inode.nlink}, expected {expected}"


def directories_have_one_parent(facts: _Facts) -> Iterator[_Complaint]:
    """A directory has at most one dentry, and no links beside it."""
    for number, inode in facts.directories():
        found = len(facts.dentries.get(number, []))
        if found > 1 or inode.links or (number == ROOT_INODE and found):
            yield number, f"a directory with {found} dentries and links {inode.links}"


def directories_hang_on_the_root(facts: _Facts) -> Iterator[_Complaint]:
    """Going up from a linked directory ends at the root: no cycles, no islands."""
    connected = {ROOT_INODE}
    for start, inode in facts.directories():
        if inode.nlink == 0:
            continue
        number, above = start, set[InodeNumber]()
        while number not in connected and number not in above:
            above.add(number)
            directory = facts.inodes.get(number)
            if directory is None or not directory.is_directory or directory.nlink == 0:
                break
            number = directory.parent
        if number in connected:
            connected |= above
        else:
            yield start, f"is not below the root; went up to {number}"


def fields_fit_the_type(facts: _Records) -> Iterator[_Complaint]:
    """Only files have extents, only symlinks a target (their size), only devices a number."""
    for number, inode in facts.inodes.items():
        kind = stat.S_IFMT(inode.mode)
        if kind not in _TYPES or inode.mode != kind | stat.S_IMODE(inode.mode):
            yield number, f"mode {inode.mode:o} is of no type"
        if inode.extents and not inode.is_file:
            yield number, "has extents but is no regular file"
        if inode.target and not inode.is_symlink:
            yield number, "has a target but is no symlink"
        if inode.rdev and kind not in (stat.S_IFCHR, stat.S_IFBLK):
            yield number, "has a device number but is no device"
        if inode.size != len(inode.target) and not inode.is_file:
            yield number, f"size {inode.size} of something that is no regular file"
        if not 0 <= inode.size <= limits.FILE_BYTES_MAX:
            yield number, f"size {inode.size}"


def extent_blocks_are_well_formed(facts: _Records) -> Iterator[_Complaint]:
    """A list is one block, or two or more non-empty ones, of whole entries and bounded size."""
    for number, inode in facts.inodes.items():
        blocks = inode.extents
        if isinstance(blocks, bytes):
            blocks = (blocks,) if blocks else ()
        elif len(blocks) < 2:
            yield number, f"a tuple of {len(blocks)} blocks"
        for index, block in enumerate(blocks):
            if not block or len(block) % extent.ENTRY_BYTES:
                yield number, f"block {index} has {len(block)} bytes"
            elif len(block) > extent.BLOCK_ENTRIES_MAX * extent.ENTRY_BYTES:
                yield number, f"block {index} has {len(block) // extent.ENTRY_BYTES} entries"


def _whole_extents(inode: Inode) -> Iterator[extent.Extent]:
    """Yields the extents of blocks that can be read (the others are a finding of their own)."""
    for block in (inode.extents,) if isinstance(inode.extents, bytes) else inode.extents:
        if len(block) % extent.ENTRY_BYTES == 0:
            yield from extent.iterate(block)


def extents_are_sorted_and_within_size(facts: _Records) -> Iterator[_Complaint]:
    """Extents are sorted, disjoint, non-empty, within the size of their file, of a known kind."""
    for number, inode in facts.inodes.items():
        end = 0
        for item in _whole_extents(inode):
            if item.length == 0:
                yield number, f"an empty extent at {item.file_offset}"
            if item.file_offset < end:
                yield number, f"an extent at {item.file_offset} begins before {end}"
            if item.end > inode.size:
                yield number, f"an extent at {item.file_offset} ends past the size {inode.size}"
            if item.kind not in (extent.SCRATCH, extent.CHUNK):
                yield number, f"an extent of kind {item.kind}"
            elif item.kind == extent.SCRATCH and any(item.source[8:]):
                yield number, f"a scratch extent with source {item.source.hex()}"
            end = max(end, item.end)


def scratch_extents_lie_in_their_segments(facts: _Facts) -> Iterator[_Complaint]:
    """No scratch extent points past the end of its segment."""
    if facts.segment_end is None:
        return
    for number, inode in facts.inodes.items():
        for item in _whole_extents(inode):
            if item.kind != extent.SCRATCH:
                continue
            end = facts.segment_end(item.segment)
            if end is None:
                yield number, f"segment {item.segment:#x} is not there"
            elif item.source_offset + item.length > end:
                yield number, f"an extent ends past the end {end} of segment {item.segment:#x}"


def xattrs_are_sorted(facts: _Records) -> Iterator[_Complaint]:
    """Extended attributes are sorted by name, each name once."""
    for number, inode in facts.inodes.items():
        names = [name for name, _ in inode.xattrs]
        if names != sorted(set(names)):
            yield number, f"attributes {names}"


INVARIANTS: tuple[Callable[[_Facts], Iterator[_Complaint]], ...] = (
    root_is_a_directory,
    every_number_has_one_record,
    last_inode_bounds_all_numbers,
    every_dentry_resolves,
    lookup_agrees_with_entries,
    only_linked_directories_have_entries,
    names_are_valid,
    dentries_are_those_of_the_record,
    unlinked_is_complete,
    files_count_their_dentries,
    directories_count_their_subdirectories,
    directories_have_one_parent,
    directories_hang_on_the_root,
    fields_fit_the_type,
    extent_blocks_are_well_formed,
    extents_are_sorted_and_within_size,
    scratch_extents_lie_in_their_segments,
    xattrs_are_sorted,
)
"""All of them, in the order in which their findings are reported."""

_OF_RECORDS: tuple[Callable[[_Records], Iterator[_Complaint]], ...] = (
    fields_fit_the_type,
    extent_blocks_are_well_formed,
    extents_are_sorted_and_within_size,
    xattrs_are_sorted,
)
