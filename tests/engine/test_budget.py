"""A budget takes as little as is enough, in the order of worth, and never what the floor names."""

from collections.abc import Callable

from pyi_fs import limits
from pyi_fs.engine.budget import Given, for_budget, for_retention
from pyi_fs.engine.retention import DEFAULT
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, SnapshotId, WorkspaceName
from pyi_fs.model.operation import Begin, DropBranch, MakeBranch, TakeSnapshot
from pyi_fs.model.refs import Refs, with_operation

A = WorkspaceName("a")
MINUTE = 60 * 1_000_000_000
MAIN, SIDE = BranchName("main"), BranchName("side")


def place(offset: int) -> Position:
    return Position(LayerId(1), offset)


def refs_with(*taken: tuple[int, str], side: tuple[int, ...] = (), dropped: int = 0) -> Refs:
    """Snapshots at minutes with the reason of automatic ones; those of a branch that is dropped."""
    refs = with_operation(Refs(), Begin(0, MAIN, place(0), "", InodeNumber(2)))
    for number, (minute, automatic) in enumerate(taken, 1):
        id_, at = SnapshotId(f"{number}-x"), place(number)
        one = TakeSnapshot(minute * MINUTE, MAIN, id_, at, 0, 0, 0, automatic=automatic)
        refs = with_operation(refs, one)
    if side:
        refs = with_operation(refs, MakeBranch(MINUTE, SIDE, place(1), None, False))
        for minute in side:
            id_ = SnapshotId(f"{100 + minute}-x")
            one = TakeSnapshot(minute * MINUTE, SIDE, id_, place(100 + minute), 0, 0, 0)
            refs = with_operation(refs, one)
        refs = with_operation(refs, DropBranch(dropped * MINUTE, SIDE))
    return refs


def numbers(given: Given) -> list[str]:
    return sorted(one.removal.snapshot.id.partition("-")[0] for one in given.deletions)


def by_count(each: int) -> Callable[[Given], int]:
    """Every snapshot and every minute of undo frees as much."""
    return lambda given: (
        each * (len(given.deletions) + sum(one.before_ns // MINUTE for one in given.closings))
    )


def test_nothing_is_taken_that_is_not_needed() -> None:
    refs = refs_with((1, ""), (2, "x"), (3, ""))
    given = for_budget({A: refs}, {A: [MINUTE]}, 60 * MINUTE, DEFAULT, 0, by_count(10))
    assert given == Given((), ())
    assert for_retention({A: refs}, 60 * MINUTE, DEFAULT) == Given((), ())


def test_ways_back_go_first_then_automatic_snapshots_then_unnamed_ones() -> None:
    refs = refs_with((1, ""), (2, "x"), (3, ""), (4, ""))
    undoable = {A: [1 * MINUTE, 2 * MINUTE]}

    def given(excess_bytes: int) -> Given:
        return for_budget({A: refs}, undoable, 60 * MINUTE, DEFAULT, excess_bytes, by_count(10))

    assert [one.before_ns for one in given(10).closings] == [MINUTE]
    assert [one.before_ns for one in given(20).closings] == [2 * MINUTE]
    assert (numbers(given(20)), numbers(given(30)), numbers(given(40))) == ([], ["2"], ["1", "2"])
    # The last of a branch is the floor.
    assert numbers(given(1000)) == ["1", "2", "3"]


def test_what_frees_nothing_is_not_given_up() -> None:
    """The disk is short of space for other reasons: it would be lost for no bytes."""
    refs = refs_with((1, ""), (2, ""), (3, ""), (4, ""))

    def frees(given: Given) -> int:
        return 100 if "2" in numbers(given) else 0

    given = for_budget({A: refs}, {A: [MINUTE]}, 60 * MINUTE, DEFAULT, 10**9, frees)
    assert numbers(given) == ["1", "2"]
    nothing = for_budget({A: refs}, {A: [MINUTE]}, 60 * MINUTE, DEFAULT, 10**9, lambda _: 0)
    assert nothing == Given((), ())


def test_no_way_back_is_closed_that_is_younger_than_the_floor() -> None:
    refs = refs_with((1, ""))
    now = 60 * MINUTE
    floor = now - limits.UNDO_WINDOW_SECONDS_MIN * 1_000_000_000
    undoable = {A: [floor - 1, floor, floor + 1, now]}
    given = for_budget({A: refs}, undoable, now, DEFAULT, 10**9, by_count(1))
    assert [one.before_ns for one in given.closings] == [floor]


def test_the_snapshots_of_a_dropped_branch_go_with_the_way_back_to_it() -> None:
    refs = refs_with((1, ""), side=(2, 3), dropped=5)
    given = for_budget({A: refs}, {A: [5 * MINUTE]}, 60 * MINUTE, DEFAULT, 1, by_count(1))
    assert numbers(given) == ["102", "103"]
    assert [str(one) for one in given.closings] == [
        "close undo of a up to 1970-01-01T00:05:00+00:00: byte budget"
    ]
    gone = given.without()[A]
    assert (gone.undo_closed_ns, len(gone.snapshots)) == (5 * MINUTE, 2)
