"""Files without a name: who owns them, and what becomes of them."""

import stat

import pytest

from pyi_fs.errors import NotADirectoryInTreeError, NotFoundError
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import check
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Create, Link, Reap, Remove
from pyi_fs.model.temporary import temporary
from pyi_fs.model.tree import root_only

DIRECTORY, FILE = InodeNumber(2), InodeNumber(3)


@pytest.fixture
def tree():
    """Gives a tree with a set-gid directory of group 7."""
    mode = stat.S_IFDIR | stat.S_ISGID | 0o755
    return apply(root_only(0o040755, 0, 0, 1), Create(ROOT_INODE, b"d", DIRECTORY, mode, 5, 7, 10))


def made(tree, directory=DIRECTORY, mode=0o640):
    """Returns a tree with a file without a name."""
    return apply(tree, temporary(tree, directory, FILE, mode, (1000, 100), 20))


def test_it_has_no_link_and_an_owner_and_all_times(tree):
    inode = made(tree, ROOT_INODE).existing(FILE)
    assert (inode.nlink, inode.size, inode.dentries()) == (0, 0, ())
    assert (inode.mode, inode.uid, inode.gid) == (stat.S_IFREG | 0o640, 1000, 100)
    assert (inode.atime_ns, inode.mtime_ns, inode.ctime_ns, inode.btime_ns) == (20, 20, 20, 20)


def test_a_set_gid_directory_gives_it_its_group(tree):
    assert made(tree).existing(FILE).gid == 7


def test_it_may_get_a_name_or_go(tree):
    with_file = made(tree)
    assert not list(check.check(with_file))
    named = apply(with_file, Link(FILE, DIRECTORY, b"f", 30))
    assert named.lookup(DIRECTORY, b"f") == FILE
    assert named.existing(FILE).nlink == 1
    assert not list(check.check(named))
    gone = apply(with_file, Reap((FILE,)))
    assert gone.inode(FILE) is None
    assert not list(check.check(gone))


def test_a_directory_that_is_gone_or_none_is_refused(tree):
    removed = apply(tree, Remove(ROOT_INODE, b"d", True, 20))
    with pytest.raises(NotFoundError):
        temporary(removed, DIRECTORY, FILE, 0o600, (0, 0), 30)
    named = apply(made(tree), Link(FILE, DIRECTORY, b"f", 30))
    with pytest.raises(NotADirectoryInTreeError):
        temporary(named, FILE, InodeNumber(4), 0o600, (0, 0), 30)
