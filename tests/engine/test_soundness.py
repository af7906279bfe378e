"""What is found of one tree after the other is what a check of each finds, and costs less."""

from pathlib import Path

import pytest

from pyi_fs.engine import soundness as soundness_module
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.soundness import Soundness
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import Finding, check
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import with_fields
from pyi_fs.model.mutation import Create, Graft, Mutation
from pyi_fs.model.tree import Tree, over, root_only
from tests.support.engine_rig import drop, opened, put, written

A, B, FILE = map(InodeNumber, (2, 3, 4))


def created(name: bytes, number: InodeNumber) -> Create:
    return Create(ROOT_INODE, name, number, 0o100644, 0, 0, 1)


def three_files() -> Tree:
    tree = root_only(0o40755, 0, 0, 1)
    for name, number in ((b"a", A), (b"b", B), (b"file", FILE)):
        tree = apply(tree, created(name, number))
    return tree


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Tree]:
    """Returns the trees that were checked whole, as they are."""
    found: list[Tree] = []

    def noted(tree: Tree) -> list[Finding]:
        found.append(tree)
        return check(tree)

    monkeypatch.setattr(soundness_module, "check", noted)
    return found


def test_a_sound_tree_is_followed_without_another_full_check(checked: list[Tree]) -> None:
    first = tree = over(three_files())
    soundness = Soundness()
    assert soundness.findings(tree) == []
    for number in range(5, 15):
        change = created(b"%d" % number, InodeNumber(number))
        tree = apply(tree, change)
        soundness.changes.add(change)
        assert soundness.findings(tree) == []
    assert checked == [first]


def test_damage_is_found_in_each_tree_that_has_it_and_in_none_after(checked: list[Tree]) -> None:
    """A record is damaged between two trees, one more is made, then it is repaired."""
    start = over(three_files())
    good = start.existing(FILE)
    journal: list[Mutation] = [
        created(b"x", InodeNumber(5)),
        Graft(((FILE, with_fields(good, nlink=7)),), ()),
        created(b"y", InodeNumber(6)),
        Graft(((FILE, good),), ()),
        created(b"z", InodeNumber(7)),
    ]
    tree, soundness, found = start, Soundness(), []
    assert soundness.findings(tree) == []
    for change in journal:
        tree = apply(tree, change)
        soundness.changes.add(change)
        findings = soundness.findings(tree)
        assert findings == check(tree)
        found.append(bool(findings))
    assert found == [False, True, True, False, False]
    assert len(checked) == 4


def test_a_base_that_is_not_sound_by_itself_bares_nothing_unseen() -> None:
    """What is wrong in it is hidden by the overlay: trees over it are all checked whole."""
    broken = apply(three_files(), Graft(((FILE, None),), ()))
    hidden = apply(over(broken), Graft((), ((ROOT_INODE, b"file", InodeNumber(0)),)))
    soundness = Soundness()
    assert soundness.findings(hidden) == check(hidden) == []
    # No mutation says so, but it is what a check of the whole would see.
    bare = over(broken)
    assert soundness.findings(bare) == check(bare) != []


def test_a_store_of_many_snapshots_is_walked_no_more_often_than_one_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[Tree] = []
    numbers = Tree.numbers

    def walked(tree: Tree) -> object:
        walks.append(tree)
        return numbers(tree)

    def walks_of(count: int) -> int:
        with opened(tmp_path / f"store-{count}") as store:
            with written(store, "a") as (workspace, branch):
                for number in range(30):
                    put(branch, b"d/%d" % number, b"x")
                for number in range(count):
                    put(branch, b"d/7", b"%d" % number)
                    put(branch, b"new", b"%d" % number)
                    drop(branch, b"new")
                    workspace.snapshot(branch)
            walks.clear()
            assert check_store(store, verify_data=True) == []
            return len(walks)

    monkeypatch.setattr(Tree, "numbers", walked)
    assert walks_of(12) == walks_of(3) > 0
