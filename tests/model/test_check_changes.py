"""What changed is looked at, and nothing else; what it cannot tell it does not call sound.

That a yes is right for any trees: `tests/properties/test_check_changes.py`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import check_changes
from pyi_fs.model.check import check
from pyi_fs.model.check_changes import Changes, is_sound_base, is_still_sound
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Adopt, Create, Graft, Mutation, Reap, Remove, Rename
from pyi_fs.model.tree import Tree, over, root_only

DIRECTORY, REGULAR = 0o40755, 0o100644
D, E, FIRST = map(InodeNumber, (2, 3, 4))


def made(files: int) -> Tree:
    """Returns `d/e/` and that many files in `d`, as a base."""
    tree = apply(root_only(DIRECTORY, 0, 0, 1), Create(ROOT_INODE, b"d", D, DIRECTORY, 0, 0, 1))
    tree = apply(tree, Create(D, b"e", E, DIRECTORY, 0, 0, 1))
    for number in range(FIRST, FIRST + files):
        tree = apply(tree, Create(D, b"%d" % number, InodeNumber(number), REGULAR, 0, 0, 1))
    return over(tree)


def after(tree: Tree, *journal: Mutation) -> tuple[Tree, Changes]:
    changes = Changes()
    for mutation in journal:
        tree = apply(tree, mutation)
        changes.add(mutation)
    return tree, changes


def is_sound_after(tree: Tree, *journal: Mutation) -> bool:
    return is_still_sound(tree, *after(tree, *journal))


def test_a_directory_that_goes_with_all_in_it_is_no_reason_to_doubt() -> None:
    tree = made(2)
    removals: list[Mutation] = [
        *(Remove(D, b"%d" % number, False, 2) for number in (FIRST, FIRST + 1)),
        Remove(D, b"e", True, 2),
        Remove(ROOT_INODE, b"d", True, 2),
        Reap((D, E, FIRST, InodeNumber(FIRST + 1))),
    ]
    assert is_sound_after(tree, *removals)
    assert is_sound_after(tree, Rename(D, b"e", ROOT_INODE, b"e", 0, 2), removals[0])


def test_each_part_of_what_a_change_couples_is_looked_at() -> None:
    """One record or dentry without the others that belong to it is not sound."""
    tree = made(2)
    gone = InodeNumber(0)
    for graft in (
        Graft(((FIRST, None),), ()),
        Graft(((D, None),), ((ROOT_INODE, b"d", gone),)),
        Graft((), ((D, b"%d" % FIRST, gone),)),
        Graft((), ((D, b"again", FIRST),)),
        Graft((), ((E, b"d", D),)),
        Graft((), ((FIRST, b"x", InodeNumber(FIRST + 1)),)),
    ):
        assert not is_sound_after(tree, graft), graft


def record(number: InodeNumber, **fields: Any) -> tuple[InodeNumber, Inode]:
    return number, with_fields(made(2).existing(number), **fields)


GONE = InodeNumber(0)
LONG = b"n" * 300
BROKEN: dict[str, Mutation] = {
    "unsorted attributes": Graft((record(FIRST, xattrs=((b"b", b""), (b"a", b""))),), ()),
    "a subdirectory too many": Graft((record(D, nlink=5),), ()),
    "below itself": Graft(
        (record(D, parent=E, name=b"x"), record(E, nlink=3), record(ROOT_INODE, nlink=2)),
        ((ROOT_INODE, b"d", GONE), (E, b"x", D)),
    ),
    "unlinked and full": Graft(
        (record(D, nlink=0), record(ROOT_INODE, nlink=2)), ((ROOT_INODE, b"d", GONE),)
    ),
    "a file that becomes a directory": Graft((record(FIRST, mode=DIRECTORY, nlink=2),), ()),
    "a bad name": Graft((record(FIRST, name=b".."),), ((D, b"4", GONE), (D, b"..", FIRST))),
    "a long name": Graft((record(FIRST, name=LONG),), ((D, b"4", GONE), (D, LONG, FIRST))),
    "one name twice": Graft((record(FIRST, nlink=2, links=((D, b"4"),)),), ()),
    "a number that has a name": Adopt(FIRST, made(2).existing(FIRST)),
    "a root with a name": Graft((record(ROOT_INODE, name=b"x"),), ()),
    "a link too many": Graft((record(FIRST, nlink=2),), ()),
}


@pytest.mark.parametrize("mutation", BROKEN.values(), ids=BROKEN)
def test_what_breaks_one_invariant_is_not_called_sound(mutation: Mutation) -> None:
    tree = made(2)
    assert check(tree) == []
    assert check(after(tree, mutation)[0]) != []
    assert not is_sound_after(tree, mutation)


def test_too_many_changes_are_not_kept_and_not_called_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_changes, "CHANGES_MAX", 6)
    tree = made(0)
    creations = [Create(D, b"%d" % n, InodeNumber(n), REGULAR, 0, 0, 2) for n in range(4, 30)]
    assert is_sound_after(tree, *creations[:2])
    _, changes = after(tree, *creations)
    assert len(changes.touched.names) <= 6
    assert not is_sound_after(tree, *creations)
    changes.clear()
    assert is_still_sound(tree, tree, changes)


def test_another_base_is_not_called_sound() -> None:
    assert is_sound_base(made(1).base)
    assert is_sound_base(root_only(DIRECTORY, 0, 0, 1).base)
    assert not is_still_sound(made(1), made(1), Changes())


def test_a_change_costs_the_same_in_a_small_tree_and_in_a_large_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted: records and names that are looked up, and dentries that are listed."""
    looks: Counter[str] = Counter()
    lists = ("entries", "numbers", "unlinked_numbers")

    def listed(name: str, found: Iterator[Any]) -> Iterator[Any]:
        for one in found:
            looks[name] += 1
            yield one

    def counted(name: str) -> None:
        method: Any = getattr(Tree, name)

        def look(*arguments: Any) -> Any:
            looks[name] += 1
            found = method(*arguments)
            return listed(name, found) if name in lists else found

        monkeypatch.setattr(Tree, name, look)

    for name in ("inode", "lookup", *lists):
        counted(name)

    def cost_of(files: int, steps: int) -> int:
        tree, total = made(files), 0
        for step in range(steps):
            number = InodeNumber(FIRST + files + step)
            following, changes = after(
                tree,
                Create(D, b"new", number, REGULAR, 0, 0, 2),
                Rename(D, b"%d" % FIRST, D, b"%d-" % FIRST, 0, 2),
                Rename(D, b"%d-" % FIRST, D, b"%d" % FIRST, 0, 2),
                Remove(D, b"new", False, 2),
                Reap((number,)),
            )
            looks.clear()
            assert is_still_sound(tree, following, changes)
            total += looks.total()
            tree = following
        return total

    assert cost_of(400, 20) == cost_of(4, 20)
    # The first one finds in the base what the others find in the overlay.
    assert cost_of(4, 30) - cost_of(4, 20) == cost_of(4, 20) - cost_of(4, 10)
