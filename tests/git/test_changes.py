"""What goes and what comes, for one change at a time."""

import stat

import pytest

from pyi_fs.git import changes
from pyi_fs.git.changes import Before, Changes, Move, Put
from pyi_fs.git.left_out import LeftOut
from pyi_fs.model.diff import everything
from pyi_fs.model.tree import Tree
from tests.support.git_rig import rig_in

NOW = 1 << 62


@pytest.fixture
def rig(tmp_path):
    with rig_in(tmp_path) as rig:
        rig.write(b"a/x/1", b"one")
        rig.write(b"a/2", b"two")
        rig.write(b"b/3", b"three")
        rig.write(b"top", b"top")
        rig.snapshot("before")
        yield rig


def since_before(rig, *, left_out=None, touched=None, reads=None):
    """Returns what goes and what comes since the snapshot `before`."""
    old = rig.branch.since_last.tree

    def before():
        if reads is not None:
            reads.append(old)
        return old

    found = Changes(
        rig.branch.tree,
        rig.branch.since_last.touched if touched is None else touched,
        LeftOut() if left_out is None else left_out,
        before=Before(before, NOW),
    )
    removals = found.removals()
    return removals, list(found.puts())


def paths(puts):
    return [put.path for put in puts]


def test_a_written_file_comes_and_nothing_goes(rig):
    rig.write(b"a/2", b"new")
    removals, puts = since_before(rig)
    assert removals == []
    assert [(put.path, put.old_path) for put in puts] == [(b"a/2", None)]


def test_only_what_was_touched_is_looked_at(rig):
    reads: list[Tree] = []
    rig.write(b"a/2", b"new")
    since_before(rig, reads=reads)
    assert reads == []


def test_a_removed_directory_goes_by_its_own_path(rig):
    rig.remove(b"a")
    assert since_before(rig) == ([b"a"], [])


def test_a_moved_directory_is_one_move(rig):
    rig.rename(b"a", b"b/moved")
    removals, puts = since_before(rig)
    assert removals == [b"a", b"b/moved"]
    assert puts == [Move(b"b/moved", rig.branch.tree.resolve(b"b/moved"), b"a")]


def test_a_moved_directory_with_a_change_below_comes_in_parts(rig):
    rig.rename(b"a", b"b/moved")
    rig.write(b"b/moved/2", b"new")
    _, puts = since_before(rig)
    assert [(type(put), put.path, put.old_path) for put in puts] == [
        (Put, b"b/moved/2", None),
        (Move, b"b/moved/x", b"a/x"),
    ]


def test_exchanged_directories_are_two_moves_from_the_parent_commit(rig):
    rig.rename(b"a", b"b", flags=2)
    removals, puts = since_before(rig)
    assert removals == [b"a", b"b"]
    assert [(put.path, put.old_path) for put in puts] == [(b"a", b"b"), (b"b", b"a")]


def test_a_file_becomes_a_directory_and_back(rig):
    rig.remove(b"top")
    rig.write(b"top/in", b"1")
    rig.remove(b"a")
    rig.write(b"a", b"2")
    removals, puts = since_before(rig)
    assert set(removals) >= {b"top", b"a"}
    assert sorted(paths(puts)) == [b"a", b"top/in"]


def test_every_name_of_a_written_inode_comes(rig):
    rig.link(b"top", b"b/same")
    rig.snapshot("linked")
    rig.write(b"top", b"new")
    removals, puts = since_before(rig)
    assert removals == []
    assert sorted(paths(puts)) == [b"b/same", b"top"]


def test_a_large_file_that_only_moved_is_not_read(rig, monkeypatch):
    monkeypatch.setattr(changes, "REUSED_BYTES_MIN", 3)
    rig.rename(b"top", b"b/top")
    _, puts = since_before(rig)
    assert [(put.path, put.old_path) for put in puts] == [(b"b/top", b"top")]
    rig.set(rig.branch.tree.resolve(b"b/top"), size=2)
    _, puts = since_before(rig)
    assert [(put.path, put.old_path) for put in puts] == [(b"b/top", None)]


def test_what_git_has_not_is_left_out_with_its_reason(rig):
    rig.make(b"pipe", stat.S_IFIFO | 0o644)
    rig.make(b"new/sock", stat.S_IFSOCK | 0o644)
    rig.make(b"null", stat.S_IFCHR | 0o644, rdev=259)
    rig.make(b"disk", stat.S_IFBLK | 0o644, rdev=259)
    rig.make(b"new/empty", stat.S_IFDIR | 0o755)
    rig.write(b"new/.GIT/config", b"x")
    rig.remove(b"b/3")
    left_out = LeftOut()
    removals, puts = since_before(rig, left_out=left_out)
    assert puts == []
    assert b"new/.GIT" not in removals
    assert left_out.paths == {
        "FIFOs": [b"pipe"],
        "sockets": [b"new/sock"],
        "character devices": [b"null"],
        "block devices": [b"disk"],
        "names that git takes for .git": [b"new/.GIT"],
        "empty directories": [b"new/empty", b"b"],
    }


def test_nothing_below_dot_git_is_looked_at(rig):
    rig.write(b".git/config", b"x")
    rig.snapshot("dot-git")
    rig.write(b".git/config", b"y")
    rig.write(b".git/new", b"z")
    assert since_before(rig) == ([], [])


def test_a_touched_set_may_say_too_much(rig):
    rig.rename(b"a", b"c")
    tree = rig.branch.tree
    removals, puts = since_before(rig, touched=everything(rig.branch.since_last.tree, tree))
    assert removals == [b"a", b"b", b"c", b"top"]
    assert sorted(paths(puts)) == [b"b/3", b"c/2", b"c/x/1", b"top"]
