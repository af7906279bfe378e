"""Restoring one path: what it was comes back, what is beside it stays, and the tree stays sound."""

import stat
from itertools import count

import pytest

from pyi_fs.errors import InvalidArgumentError, NotADirectoryInTreeError, NotFoundError
from pyi_fs.format.record import decode_mutation, encode_mutation
from pyi_fs.ids import InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.fold import fold
from pyi_fs.model.mutation import Create, Graft, Link, Mutation, Remove, Rename, SetAttributes
from pyi_fs.model.regraft import graft_of
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree, root_only

NOW = 99


class Bench:
    """A tree changed by paths, with kept ones to go back to."""

    def __init__(self) -> None:
        self.tree = root_only(0o40755, 0, 0, 1)
        self.numbers = count(2)
        self.touched = Touched()

    def do(self, mutation: Mutation) -> None:
        self.tree = fold(self.tree, decode_mutation(encode_mutation(mutation)))
        self.touched.add(mutation)

    def at(self, path: str) -> tuple[InodeNumber, bytes]:
        directory, _, name = path.encode().rpartition(b"/")
        return self.tree.resolve(directory), name

    def make(self, *paths: str) -> None:
        for path in paths:
            mode = stat.S_IFDIR | 0o755 if path.endswith("/") else stat.S_IFREG | 0o644
            number = InodeNumber(next(self.numbers))
            self.do(Create(*self.at(path.rstrip("/")), number, mode, 0, 0, 10))

    def size(self, path: str, size: int) -> None:
        number = self.tree.resolve(path.encode())
        self.do(SetAttributes(number, None, None, None, size, None, None, 20))

    def remove(self, path: str) -> None:
        where = self.at(path)
        inode = self.tree.existing(self.tree.resolve(path.encode()))
        self.do(Remove(*where, inode.is_directory, 20))

    def rename(self, old: str, new: str) -> None:
        self.do(Rename(*self.at(old), *self.at(new), 0, 20))

    def link(self, old: str, new: str) -> None:
        self.do(Link(self.tree.resolve(old.encode()), *self.at(new), 20))

    def restore(self, path: str, past: Tree) -> Graft:
        fresh = (InodeNumber(number) for number in self.numbers)
        place = path.encode()
        graft = graft_of(self.tree, past, place, self.touched, NOW, lambda: next(fresh))
        self.do(graft)
        assert check(self.tree) == []
        return graft

    def names(self, path: str) -> set[str]:
        """Returns all paths of the file at one."""
        number = self.tree.resolve(path.encode())
        assert self.tree.existing(number).nlink == len(self.tree.paths(number))
        return {found.decode() for found in self.tree.paths(number)}

    def sizes(self) -> dict[str, int]:
        """Returns all paths; files with their size, directories with -1."""
        return {
            path.decode(): -1 if inode.is_directory else inode.size
            for path, _, inode in self.tree.walk()
        }


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.make("d/", "d/e/", "d/e/x", "d/y", "f")
    bench.size("d/e/x", 5)
    bench.touched = Touched()
    return bench


def test_a_changed_file_is_what_it_was_and_keeps_its_number(bench: Bench) -> None:
    past, number = bench.tree, bench.tree.resolve(b"d/e/x")
    bench.size("d/e/x", 9)
    bench.size("f", 1)
    graft = bench.restore("d/e/x", past)
    assert bench.sizes() == {"d": -1, "d/e": -1, "d/e/x": 5, "d/y": 0, "f": 1}
    assert bench.tree.inode(number) == past.inode(number)
    assert graft.dentries == ()


def test_a_removed_directory_comes_back_with_all_below_it(bench: Bench) -> None:
    past = bench.tree
    for path in ("d/e/x", "d/e", "d/y", "d"):
        bench.remove(path)
    bench.restore("d", past)
    assert bench.sizes() == {"d": -1, "d/e": -1, "d/e/x": 5, "d/y": 0, "f": 0}


def test_what_was_made_since_goes(bench: Bench) -> None:
    past = bench.tree
    bench.make("d/new/", "d/new/z", "d/e/w", "beside")
    bench.restore("d", past)
    assert bench.sizes() == {"d": -1, "d/e": -1, "d/e/x": 5, "d/y": 0, "f": 0, "beside": 0}
    assert len(bench.tree.unlinked) == 3


def test_a_path_that_was_not_there_is_removed(bench: Bench) -> None:
    past = bench.tree
    bench.make("d/new/", "d/new/z")
    bench.restore("d/new", past)
    assert bench.sizes() == {"d": -1, "d/e": -1, "d/e/x": 5, "d/y": 0, "f": 0}


def test_another_type_takes_the_place(bench: Bench) -> None:
    past = bench.tree
    bench.remove("d/y")
    bench.make("d/y/", "d/y/z")
    bench.restore("d/y", past)
    assert bench.sizes()["d/y"] == 0
    past = bench.tree
    bench.remove("d/y")
    bench.make("d/y/", "d/y/z")
    past, bench.tree = bench.tree, past
    bench.restore("d/y", past)
    assert bench.sizes()["d/y/z"] == 0


def test_a_file_that_lives_elsewhere_now_is_copied_under_a_fresh_number(bench: Bench) -> None:
    past = bench.tree
    bench.rename("d/e/x", "moved")
    bench.size("moved", 7)
    bench.restore("d/e/x", past)
    assert bench.sizes()["moved"] == 7
    assert bench.sizes()["d/e/x"] == 5
    assert bench.tree.resolve(b"moved") != bench.tree.resolve(b"d/e/x")


def test_a_moved_directory_is_copied_where_it_was(bench: Bench) -> None:
    past = bench.tree
    bench.rename("d/e", "g")
    bench.restore("d", past)
    assert bench.sizes() == {
        "d": -1,
        "d/e": -1,
        "d/e/x": 5,
        "d/y": 0,
        "f": 0,
        "g": -1,
        "g/x": 5,
    }


def test_the_other_name_of_a_linked_file_stays(bench: Bench) -> None:
    past = bench.tree
    bench.link("d/y", "f2")
    bench.restore("d", past)
    assert "f2" in bench.sizes()
    bench.remove("d/y")
    bench.restore("d", past)
    assert bench.tree.resolve(b"d/y") != bench.tree.resolve(b"f2")


def test_two_names_that_were_one_file_come_back(bench: Bench) -> None:
    bench.link("d/y", "d/z")
    past = bench.tree
    bench.remove("d/y")
    bench.remove("d/z")
    bench.restore("d", past)
    assert {"d/y", "d/z"} <= bench.sizes().keys()
    assert bench.names("d/y") == {"d/y", "d/z"}


def test_a_name_of_a_file_that_is_still_there_is_a_link_again(bench: Bench) -> None:
    """Another name within the path, one outside, and both; the record stays the same file's."""
    bench.link("d/y", "d/z")
    bench.link("d/y", "out")
    past, number = bench.tree, bench.tree.resolve(b"d/y")
    for lost in (["d/y"], ["d/y", "d/z"], ["out", "d/y"]):
        for path in lost:
            bench.remove(path)
        bench.make("d/y")
        bench.restore("d", past)
        assert bench.tree.resolve(b"d/y") == bench.tree.resolve(b"d/z") == number
        if "out" in lost:
            assert bench.names("d/y") == {"d/y", "d/z"}
            bench.link("d/y", "out")
        assert bench.names("d/y") == {"d/y", "d/z", "out"}


def test_a_file_within_is_made_what_it_was_before_a_name_of_it_comes_back(bench: Bench) -> None:
    bench.link("d/y", "d/z")
    past = bench.tree
    bench.remove("d/z")
    bench.size("d/y", 7)
    bench.restore("d", past)
    assert bench.names("d/y") == {"d/y", "d/z"}
    assert bench.sizes()["d/z"] == 0


def test_a_file_outside_that_was_changed_is_not_touched_by_a_link(bench: Bench) -> None:
    bench.link("d/y", "d/z")
    bench.link("d/y", "out")
    past, number = bench.tree, bench.tree.resolve(b"d/y")
    bench.remove("d/y")
    bench.remove("d/z")
    bench.size("out", 7)
    bench.restore("d", past)
    assert (bench.sizes()["out"], bench.sizes()["d/y"]) == (7, 0)
    assert bench.names("d/y") == {"d/y", "d/z"}
    assert bench.tree.resolve(b"out") == number


def test_one_name_alone_comes_back_as_a_link(bench: Bench) -> None:
    bench.link("d/y", "out")
    past = bench.tree
    bench.remove("d/y")
    bench.make("d/y")
    bench.restore("d/y", past)
    assert bench.names("d/y") == {"d/y", "out"}


def test_names_that_a_file_did_not_have_then_get_no_links(bench: Bench) -> None:
    bench.link("d/y", "d/z")
    past = bench.tree
    bench.rename("d/y", "moved")
    bench.remove("d/z")
    bench.restore("d", past)
    assert bench.names("d/y") == {"d/y", "d/z"}
    assert bench.names("moved") == {"moved"}


def test_the_directory_it_is_in_shows_the_time_of_the_restore(bench: Bench) -> None:
    past = bench.tree
    bench.remove("d/y")
    bench.restore("d/y", past)
    directory = bench.tree.existing(bench.tree.resolve(b"d"))
    assert (directory.mtime_ns, directory.ctime_ns) == (NOW, NOW)


def test_a_directory_untouched_below_is_not_looked_into(bench: Bench) -> None:
    past = bench.tree
    bench.size("d/y", 3)
    graft = bench.restore("d", past)
    assert [number for number, _ in graft.inodes] == [bench.tree.resolve(b"d/y")]


def test_attributes_of_a_directory_are_what_they_were(bench: Bench) -> None:
    past, number = bench.tree, bench.tree.resolve(b"d/e")
    for path in (b"d/e", b"d"):
        changed = bench.tree.resolve(path)
        bench.do(SetAttributes(changed, 0o700, None, None, None, None, None, 20))
    bench.restore("d", past)
    assert bench.tree.inode(number) == past.inode(number)
    assert bench.tree.existing(bench.tree.resolve(b"d")).mode == stat.S_IFDIR | 0o755


def test_the_same_state_is_an_empty_change(bench: Bench) -> None:
    assert bench.restore("d", bench.tree) == Graft((), ())


def test_a_path_in_neither_tree_is_refused(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        bench.restore("d/none", bench.tree)
    with pytest.raises(NotFoundError):
        bench.restore("none/of/it", bench.tree)


@pytest.mark.parametrize("path", ["", "/", ".", "d/../f"])
def test_the_root_and_ways_up_are_refused(bench: Bench, path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        bench.restore(path, bench.tree)


def test_a_path_below_what_is_a_file_now_is_refused(bench: Bench) -> None:
    """Nothing can be put into a file; its directory has to be restored first."""
    past = bench.tree
    for path in ("d/e/x", "d/e"):
        bench.remove(path)
    bench.make("d/e")
    with pytest.raises(NotADirectoryInTreeError):
        bench.restore("d/e/x", past)
    bench.restore("d/e", past)
    assert bench.sizes()["d/e/x"] == 5


def test_a_directory_moved_into_another_that_is_restored_away(bench: Bench) -> None:
    """Restoring `d` removes what was moved into it; the restored place gets a copy."""
    past = bench.tree
    bench.make("g/")
    bench.rename("d/e", "g/e")
    bench.rename("g", "d/g")
    bench.restore("d", past)
    assert bench.sizes() == {"d": -1, "d/e": -1, "d/e/x": 5, "d/y": 0, "f": 0}


def test_a_directory_that_took_anothers_place(bench: Bench) -> None:
    past = bench.tree
    bench.rename("d", "old")
    bench.make("d/", "d/y", "d/q")
    bench.restore("d", past)
    assert bench.sizes() == {
        "d": -1,
        "d/e": -1,
        "d/e/x": 5,
        "d/y": 0,
        "f": 0,
        "old": -1,
        "old/e": -1,
        "old/e/x": 5,
        "old/y": 0,
    }


def test_a_path_deeper_than_the_stack_comes_back(bench: Bench) -> None:
    """1,500 directories in one another: removed and restored, changed and restored."""
    path = "f"
    bench.remove("f")
    numbers = [InodeNumber(1)]
    for _ in range(1500):
        number = InodeNumber(next(bench.numbers))
        bench.do(Create(numbers[-1], b"f", number, stat.S_IFDIR | 0o755, 0, 0, 10))
        numbers.append(number)
    past = bench.tree
    bench.touched = Touched()
    bench.do(SetAttributes(numbers[-1], 0o700, None, None, None, None, None, 20))
    bench.restore(path, past)
    assert bench.tree.existing(numbers[-1]).mode & 0o777 == 0o755
    while len(numbers) > 1:
        numbers.pop()
        bench.do(Remove(numbers[-1], b"f", True, 20))
    bench.restore(path, past)
    bench.restore(path, root_only(0o40755, 0, 0, 1))
    assert bench.sizes() == {"d": -1, "d/e": -1, "d/e/x": 5, "d/y": 0}
