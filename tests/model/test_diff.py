"""Diffs: what is listed for what happened, and that carrying a diff out gives the other tree."""

import stat

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.ids import InodeNumber
from pyi_fs.model.diff import Change, Counts, count, counts, diff, everything
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import (
    RENAME_EXCHANGE,
    Create,
    Link,
    Mutation,
    Remove,
    Rename,
    SetAttributes,
    Write,
)
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree, root_only
from tests.support.strategies import marked_trees

ROOT = InodeNumber(1)


class Workbench:
    """A tree that is changed by paths; `changes` are those since `mark`."""

    def __init__(self) -> None:
        self.tree = self.old = root_only(0o40755, 0, 0, 1)
        self.touched = Touched()
        self.time = 10

    def mark(self) -> "Workbench":
        self.old, self.touched = self.tree, Touched()
        return self

    def do(self, mutation: Mutation) -> "Workbench":
        self.tree = apply(self.tree, mutation)
        self.touched.add(mutation)
        self.time += 1
        return self

    def at(self, path: str) -> tuple[InodeNumber, bytes]:
        directory, _, name = path.encode().rpartition(b"/")
        return self.tree.resolve(directory), name

    def make(self, path: str, mode: int = stat.S_IFREG | 0o644) -> "Workbench":
        number = InodeNumber(self.tree.last_inode + 1)
        return self.do(Create(*self.at(path), number, mode, 0, 0, self.time))

    def mkdir(self, *paths: str) -> "Workbench":
        for path in paths:
            self.make(path, stat.S_IFDIR | 0o755)
        return self

    def remove(self, path: str, *, directory: bool = False) -> "Workbench":
        return self.do(Remove(*self.at(path), directory, self.time))

    def rename(self, old: str, new: str, flags: int = 0) -> "Workbench":
        return self.do(Rename(*self.at(old), *self.at(new), flags, self.time))

    def link(self, old: str, new: str) -> "Workbench":
        return self.do(Link(self.tree.resolve(old.encode()), *self.at(new), self.time))

    def write(self, path: str) -> "Workbench":
        number = self.tree.resolve(path.encode())
        return self.do(Write(number, 0, 5, 0, self.time * 5, b"12345678", self.time))  # type: ignore[arg-type]

    def chmod(self, path: str, mode: int) -> "Workbench":
        number = self.tree.resolve(path.encode())
        return self.do(SetAttributes(number, mode, None, None, None, None, None, self.time))

    def changes(self) -> list[Change]:
        """The difference; a slow diff of everything agrees with it."""
        found = diff(self.old, self.tree, self.touched)
        assert found == diff(self.old, self.tree, everything(self.old, self.tree))
        assert counts(self.old, self.tree, self.touched) == count(found)
        return found

    def listed(self) -> list[str]:
        """Returns `LETTER PATH [< OLD PATH]` of each change."""
        return [
            f"{c.letter} {c.path.decode()}" + (f" < {c.old_path.decode()}" if c.old_path else "")
            for c in self.changes()
        ]


def base() -> Workbench:
    """Directories `d` and `e` with files of the same name, and a file beside them."""
    return Workbench().mkdir("d", "e").make("d/x").make("e/x").make("e/only").make("f").mark()


def test_nothing_changed_is_nothing_listed() -> None:
    assert base().listed() == []


def test_made_written_and_removed_files_are_added_modified_and_deleted() -> None:
    assert base().make("new").write("d/x").remove("f").listed() == ["M d/x", "D f", "A new"]


def test_a_file_made_and_removed_in_between_is_not_listed() -> None:
    assert base().make("new").remove("new").listed() == []


def test_a_saved_file_is_modified_though_it_is_another_inode() -> None:
    assert base().make("tmp").rename("tmp", "f").listed() == ["M f"]


def test_another_type_under_the_same_name_is_told() -> None:
    assert base().remove("f").mkdir("f").make("f/y").listed() == ["T f", "A f/y"]


def test_mode_alone_is_told_of_files_and_directories() -> None:
    assert base().chmod("f", 0o600).chmod("d", 0o700).listed() == ["P d", "P f"]


def test_a_directory_whose_entries_changed_is_not_listed_itself() -> None:
    assert base().make("d/y").listed() == ["A d/y"]


def test_a_renamed_file_is_one_change_and_its_new_content_another() -> None:
    assert base().rename("f", "d/g").listed() == ["R d/g < f"]
    assert base().rename("f", "g").write("g").listed() == ["M g", "R g < f"]


def test_a_renamed_directory_moves_what_is_in_it() -> None:
    assert base().rename("d", "g").listed() == ["R g < d"]
    moved = base().rename("d", "g").write("g/x").make("g/y").remove("g/x").listed()
    assert moved == ["D d/x", "R g < d", "A g/y"]


def test_a_file_that_leaves_a_renamed_directory_is_listed_itself() -> None:
    assert base().rename("d", "g").rename("g/x", "y").listed() == ["R g < d", "R y < d/x"]


def test_exchanged_directories_are_two_renames() -> None:
    """Under the same names there is other content: the names alone would look unchanged."""
    assert base().rename("d", "e", RENAME_EXCHANGE).listed() == ["R d < e", "R e < d"]


def test_a_directory_moved_into_the_place_of_another_is_a_rename() -> None:
    assert base().rename("d", "old").rename("e", "d").listed() == ["R d < e", "R old < d"]
    replaced = base().remove("d/x").rename("e", "d").listed()
    assert replaced == ["D d", "R d < e", "D d/x"]


def test_a_directory_made_in_the_place_of_a_moved_one_is_added() -> None:
    moved = base().rename("d", "old").mkdir("d").make("d/x").listed()
    assert moved == ["A d", "A d/x", "R old < d"]


def test_a_directory_made_anew_is_compared_file_by_file() -> None:
    assert base().remove("d/x").remove("d", directory=True).mkdir("d").make("d/x").listed() == [
        "M d/x"
    ]


def test_a_directory_moved_into_the_place_of_a_file_is_a_rename() -> None:
    assert base().remove("f").rename("d", "f").listed() == ["D f", "R f < d"]


def test_names_of_a_linked_file_are_added_deleted_and_modified_each() -> None:
    assert base().link("f", "g").listed() == ["A g"]
    linked = base().link("f", "g").mark()
    assert linked.write("g").listed() == ["M f", "M g"]
    assert linked.mark().remove("f").listed() == ["D f"]


def test_counts_are_of_letters() -> None:
    changes = base().make("a").write("d/x").rename("f", "g").chmod("e", 0o700).remove("e/x")
    assert count(changes.changes()) == Counts(1, 3, 1)
    assert str(Counts(1, 3, 1)) == "+1 ~3 -1"


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_counts_are_those_of_the_listing_after_any_mutations(data: st.DataObject) -> None:
    tree, marks = marked_trees(data)
    for old, touched in marks:
        for covering in (touched, everything(old, tree)):
            assert counts(old, tree, covering) == count(diff(old, tree, covering))


def test_everything_covers_both_trees() -> None:
    bench = base().remove("f").make("new")
    touched = everything(bench.old, bench.tree)
    assert touched.inodes == {*bench.old.numbers(), *bench.tree.numbers()}
    assert {(ROOT, b"f"), (ROOT, b"new"), (ROOT, b"d")} <= touched.names
    assert isinstance(bench.tree, Tree)
