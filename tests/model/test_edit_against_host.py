"""The model does what Linux does: the same mutations as system calls in a directory of the host.

Compared after every step: errno, types, modes, owners, link counts, sizes, contents, targets,
xattrs, names, and *which* inodes got a new mtime or ctime (the values differ: the model has its own
clock). The host's directory should lie on ext4, which the model follows; where directories do not
count their subdirectories as links, and without root, the test is skipped.
"""

import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.errors import RequestError
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import (
    Adopt,
    Allocate,
    Create,
    Link,
    Mutation,
    Reap,
    RemoveXattr,
    Rename,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.model.tree import Tree, root_only
from tests.support.host import Host
from tests.support.oracle import Content
from tests.support.strategies import BAD_NAMES, mutations

UNSAYABLE = BAD_NAMES[1:]
"""Names that the kernel takes for paths, or that cannot be passed."""
HOST_SIZE_MAX = 1 << 39
"""Ranges beyond it meet our limit, which is not that of the host."""


def _clock_is_fine(path: Path) -> bool:
    """Returns whether each change gets a time of its own (multigrain timestamps, Linux 6.13)."""
    path.touch()
    seen = set()
    for mode in range(20):
        path.chmod(mode)
        seen.add(path.stat().st_ctime_ns)
    path.unlink()
    return len(seen) == 20


class Probe:
    """Fresh host directories, and what the host can tell."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.times_are_fine = _clock_is_fine(directory / "clock")
        self._numbers = count()

    def fresh(self) -> str:
        """Returns the path of a new, empty directory."""
        path = self.directory / str(next(self._numbers))
        path.mkdir()
        return str(path)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """A host that can be compared with, or a skip that says why not."""
    if os.geteuid() != 0:
        pytest.skip("needs root: owners, devices and set-id bits are compared")
    directory = tmp_path_factory.mktemp("host")
    (directory / "sub").mkdir()
    if directory.stat().st_nlink != 3:
        pytest.skip("this filesystem does not count subdirectories as links")
    umask = os.umask(0)
    try:
        yield Probe(directory)
    finally:
        os.umask(umask)


Times = dict[InodeNumber, tuple[int, int]]


class Twin:
    """A tree and a host directory that are driven together."""

    def __init__(self, probe: Probe) -> None:
        self.content = Content()
        self.times_are_fine = probe.times_are_fine
        self.host = Host(probe.fresh(), self.content)
        self.tree = root_only(0o40755, 0, 0, 1)
        # A file made with O_TMPFILE may be linked once; any other without names may not (vfs_link).
        self.linkable: set[InodeNumber] = set()

    def step(self, change: Mutation) -> None:
        """Applies a mutation to both and compares errno, times and state."""
        before, tree = self.host_times(), self.tree
        mine, theirs = None, None
        try:
            self.tree = apply(tree, change)
        except RequestError as error:
            mine = error.errno
        try:
            self.host.apply(change)
        except OSError as error:
            theirs = error.errno
        assert mine == theirs, (change, mine and os.strerror(mine), theirs and os.strerror(theirs))
        if isinstance(change, Adopt):
            self.linkable.add(change.number)
        if isinstance(change, Link):
            self.linkable.discard(change.number)
        if self.times_are_fine:
            mine_touched = self.touched(self.tree_times(tree), self.tree_times(self.tree), change)
            assert mine_touched == self.touched(before, self.host_times(), change), change
        if isinstance(change, SetAttributes) and change.atime_ns is not None:
            found = self.host.stat(change.number)
            assert (found.st_atime_ns, found.st_mtime_ns) == (change.atime_ns, change.mtime_ns)
        self.compare()

    def touched(
        self, old: Times, new: Times, change: Mutation
    ) -> dict[InodeNumber, tuple[bool, bool]]:
        """Returns which inodes have another mtime, ctime.

        A time that is set may be the one that the model's clock, or the host's, gave before.
        """
        is_times = isinstance(change, SetAttributes) and change.mtime_ns is not None
        chosen = getattr(change, "number", None) if is_times else None
        found = {
            number: (number != chosen and old[number][0] != new[number][0], old[number][1] != now)
            for number, (_, now) in new.items()
            if number in old
        }
        return {number: each for number, each in found.items() if any(each)}

    def host_times(self) -> Times:
        """Returns mtime and ctime of everything on the host."""
        found = {number: self.host.stat(number) for number in self.host.descriptors}
        return {number: (each.st_mtime_ns, each.st_ctime_ns) for number, each in found.items()}

    def tree_times(self, tree: Tree) -> Times:
        """Returns mtime and ctime of everything in a tree."""
        found = {number: tree.existing(number) for number in tree.numbers()}
        return {number: (each.mtime_ns, each.ctime_ns) for number, each in found.items()}

    def compare(self) -> None:
        """Asserts that both show the same."""
        assert check(self.tree, self.content.segment_end) == []
        assert {*self.tree.numbers()} == {*self.host.descriptors}
        own = {self.host.stat(number).st_ino: number for number in self.host.descriptors}
        for number in self.host.descriptors:
            self.compare_inode(number, own)

    def compare_inode(self, number: InodeNumber, own: dict[int, InodeNumber]) -> None:
        """Asserts that an inode is the same in both."""
        mine, theirs = self.tree.existing(number), self.host.stat(number)
        shown = (mine.mode, mine.nlink, mine.uid, mine.gid)
        assert shown == (theirs.st_mode, theirs.st_nlink, theirs.st_uid, theirs.st_gid), number
        if mine.is_directory:
            names = self.host.names(number)
            held = dict(self.tree.entries(number))
            assert held == {name: own[inode] for name, inode in names.items()}
        else:
            assert mine.size == theirs.st_size
        if mine.is_file:
            data = self.content.bytes_of(mine.extents, mine.size)
            assert data == self.host.content_of(number)
        elif mine.is_symlink:
            target = os.readlink(b"", dir_fd=self.host.descriptors[number])
            assert target == mine.target
        elif not mine.is_directory:
            assert mine.rdev == theirs.st_rdev
        if mine.is_file or mine.is_directory:
            assert list(mine.xattrs) == self.host.xattrs(number)


def _as_root_would(twin: Twin, change: Mutation) -> Mutation | None:
    """Returns the mutation that the kernel would send for root's call; None: there is no such call.

    What the kernel decides before it asks a filesystem is left out: numbers that nobody can hold,
    paths that are too long, names that are paths, data of what is no file, chmod of symlinks, and
    user attributes of others than files and directories. Root keeps set-id bits (CAP_FSETID) except
    in chown, which clears them.
    """
    tree = twin.tree
    named = [getattr(change, name) for name in ("name", "new_name") if hasattr(change, name)]
    if any(name in UNSAYABLE for name in named):
        return None
    held = [getattr(change, f) for f in ("parent", "new_parent") if hasattr(change, f)]
    if not isinstance(change, Create | Adopt) and hasattr(change, "number"):
        held.append(change.number)
    if any(tree.inode(number) is None for number in held):
        return None
    match change:
        case Rename() if change.flags > 3:
            # RENAME_WHITEOUT: ext4 has it, we answer EINVAL, as any filesystem without whiteouts.
            return None
        case Rename() if not all(tree.existing(number).is_directory for number in held):
            return None
        case Create() | Adopt():
            return _of_new_inode(tree, change)
        case Link():
            inode = tree.existing(change.number)
            gone = inode.nlink == 0 and change.number not in twin.linkable
            return None if gone else change
        case Reap():
            return None
    return _of_one_inode(tree, change)


def _of_new_inode(tree: Tree, change: Create | Adopt) -> Mutation | None:
    if isinstance(change, Adopt):
        root = tree.existing(ROOT_INODE)
        gid = root.gid if root.mode & stat.S_ISGID else 0
        times = (change.inode.mtime_ns,) * 4
        inode = Inode(change.inode.mode, 0, 0, gid, 0, *times, ROOT_INODE, b"")
        return Adopt(change.number, inode)
    if len(change.target) > limits.SYMLINK_BYTES_MAX:
        return None
    mode = change.mode
    if stat.S_ISDIR(mode):
        # mkdir(2) keeps the permissions and the sticky bit only.
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    return with_fields(change, mode=mode, uid=0, gid=0)


def _of_one_inode(tree: Tree, change: Mutation) -> Mutation | None:
    match change:
        case Write() | Allocate() | Share():
            inode = tree.existing(change.number)
            usable = (inode.is_file or inode.is_directory) and change.length > 0
            if not usable or not 0 <= change.offset < HOST_SIZE_MAX:
                return None
            if isinstance(change, Allocate) and change.flags & 8:
                # Collapsing a range: ext4 has it, FUSE does not.
                return None
            return with_fields(change, clear_setid=False) if isinstance(change, Write) else change
        case SetAttributes():
            return _of_attributes(tree.existing(change.number), change)
        case SetXattr() | RemoveXattr():
            inode = tree.existing(change.number)
            if isinstance(change, SetXattr) and inode.xattr(change.name) == change.value:
                # ext4 sees that nothing changes and leaves ctime; other filesystems do not.
                return None
            return change if inode.is_file or inode.is_directory else None
    return change


def _of_attributes(inode: Inode, change: SetAttributes) -> Mutation | None:
    data = (change.mode, change.size)
    if inode.is_symlink and data != (None, None):
        return None
    if change.size is not None and not 0 <= change.size < HOST_SIZE_MAX:
        return None
    if (change.atime_ns is None) != (change.mtime_ns is None):
        return None
    chown = change.uid is not None or change.gid is not None
    if not chown and (change.atime_ns, *data) == (None, None, None):
        return None
    return with_fields(change, clear_setid=chown)


def test_a_time_that_happens_to_be_set_already(probe: Probe) -> None:
    """The root was made in the first nanosecond of the model's clock."""
    twin = Twin(probe)
    try:
        twin.step(SetAttributes(ROOT_INODE, None, None, None, None, 0, 1, 10**9))
    finally:
        twin.host.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.slow
def test_model_does_what_the_host_does(probe: Probe, data: st.DataObject) -> None:
    """Random sequences: equal errno, state, and sets of touched times after every step."""
    twin = Twin(probe)
    try:
        for step in range(data.draw(st.integers(1, 30), label="steps")):
            drawn = data.draw(mutations(twin.tree, twin.content, 10**9 + step), label="mutation")
            change = _as_root_would(twin, drawn)
            if change is not None:
                twin.step(change)
    finally:
        twin.host.close()
