"""The fold of operations: branches, snapshots, names, and what can be undone."""

import msgspec
import pytest

from pyi_fs.errors import InvalidArgumentError, NotFoundError
from pyi_fs.ids import BranchName, InodeNumber, LayerId, OperationId, Position, SnapshotId
from pyi_fs.model.operation import (
    Begin,
    Continue,
    DeleteSnapshot,
    DropBranch,
    MakeBranch,
    MoveBranch,
    NameSnapshot,
    Operation,
    Reserve,
    RestorePath,
    SwitchHead,
    TakeSnapshot,
    UndropBranch,
    Void,
)
from pyi_fs.model.refs import BranchRef, Refs, check_ref_name, with_operation

MAIN, SIDE = BranchName("main"), BranchName("side")
START = Position(LayerId(1), 50)
BEGIN = Begin(1, MAIN, START, "empty", InodeNumber(2))


def folded(*operations: Operation) -> Refs:
    refs = Refs()
    for operation in (BEGIN, *operations):
        refs = with_operation(refs, operation)
    return refs


def at(offset: int, layer: int = 1) -> Position:
    return Position(LayerId(layer), offset)


def taken(number: int, offset: int = 90, name: str = "", layer: int = 1) -> TakeSnapshot:
    id_ = SnapshotId(f"{number}-ab")
    return TakeSnapshot(number, MAIN, id_, at(offset, layer), 1, 2, 3, None, name, "why")


def made(offset: int, branch: BranchName = SIDE) -> MakeBranch:
    return MakeBranch(5, branch, at(offset), SnapshotId("1-ab"), False)


def undoable(refs: Refs) -> list[int]:
    return [done.operation for done in refs.undoable]


def redoable(refs: Refs) -> list[int]:
    return [done.operation for done in refs.redoable]


def test_a_workspace_begins_with_one_branch() -> None:
    refs = folded()
    assert refs.branch_names() == [MAIN]
    assert refs.branch("main") == BranchRef(MAIN, START, None, None, False, 1)
    assert (refs.inode_end, refs.source, refs.made_ns, refs.operation_count) == (2, "empty", 1, 1)


def test_inode_numbers_never_go_back() -> None:
    refs = folded(Reserve(InodeNumber(300)), Reserve(InodeNumber(200)))
    assert refs.inode_end == 300
    assert undoable(refs) == []


def test_a_branch_writes_to_its_newest_layer() -> None:
    refs = folded(Continue(MAIN, LayerId(2)), Continue(MAIN, LayerId(3)))
    assert refs.branch("main").layer == 3
    assert refs.branch("main").position == START


def test_a_snapshot_is_found_by_id_number_and_name() -> None:
    refs = folded(taken(1), taken(2, name="two"))
    assert refs.find_snapshot("2-ab") == refs.find_snapshot("2") == refs.find_snapshot("two")
    assert refs.find_snapshot("1").name is None
    assert refs.branch("main").last == "2-ab"
    snapshot = refs.find_snapshot("two")
    assert (snapshot.added, snapshot.modified, snapshot.deleted) == (1, 2, 3)
    assert refs.snapshot_count == 2


@pytest.mark.parametrize("text", ["3", "1-zz", "none", "", "-", "01"])
def test_what_is_no_snapshot_is_refused_by_name(text: str) -> None:
    with pytest.raises(NotFoundError, match="no snapshot"):
        folded(taken(1)).find_snapshot(text)


def test_a_named_snapshot_has_its_message() -> None:
    refs = folded(taken(1), NameSnapshot(9, MAIN, SnapshotId("1-ab"), "good", "it works"))
    assert refs.find_snapshot("good").message == "it works"
    assert refs.names["good"] == "1-ab"


def test_a_deleted_snapshot_frees_its_name_but_not_its_number() -> None:
    gone = DeleteSnapshot(9, SnapshotId("1-ab"), "asked for")
    refs = folded(taken(1, name="one"), gone, gone, taken(2))
    assert "one" not in refs.names
    assert list(refs.snapshots) == ["2-ab"]
    assert refs.snapshot_count == 2


def test_snapshots_are_ordered_by_number_not_by_text() -> None:
    refs = folded(*(taken(number) for number in (1, 2, 9, 10, 11)))
    assert [snapshot.id for snapshot in refs.ordered()] == [
        f"{number}-ab" for number in (1, 2, 9, 10, 11)
    ]


def test_a_lost_layer_end_takes_the_snapshots_beyond_it() -> None:
    refs = folded(taken(1, 80), taken(2, 90, "two"), taken(3, 80, layer=2), Void(9, LayerId(1), 80))
    assert set(refs.snapshots) == {"1-ab", "3-ab"}
    assert "two" not in refs.names


def test_a_dropped_branch_is_not_there_and_comes_back() -> None:
    refs = folded(made(70), DropBranch(6, SIDE))
    assert refs.branch_names() == [MAIN]
    with pytest.raises(NotFoundError, match="no branch 'side'"):
        refs.branch("side")
    back = with_operation(refs, UndropBranch(7, SIDE, undoes=OperationId(3)))
    assert back.branch("side").position == at(70)
    assert undoable(back) == [2]
    assert redoable(back) == [4]


def test_a_move_takes_a_branch_to_another_position_and_lineage() -> None:
    move = MoveBranch(9, MAIN, at(90), at(60), SnapshotId("1-ab"), None)
    refs = folded(Continue(MAIN, LayerId(2)), move)
    ref = refs.branch("main")
    assert (ref.position, ref.layer, ref.last) == (at(60), None, "1-ab")
    assert undoable(refs) == [3]


def move(before: int, after: int, *, undoes: int = 0, redoes: int = 0) -> MoveBranch:
    undone, redone = OperationId(undoes), OperationId(redoes)
    return MoveBranch(9, MAIN, at(before), at(after), None, None, None, undone, redone)


def test_undo_goes_further_back_and_redo_forward() -> None:
    refs = folded(move(90, 60), move(60, 70))
    assert undoable(refs) == [2, 3]
    once = with_operation(refs, move(70, 60, undoes=3))
    assert (undoable(once), redoable(once)) == ([2], [4])
    twice = with_operation(once, move(60, 90, undoes=2))
    assert (undoable(twice), redoable(twice)) == ([], [4, 5])
    forward = with_operation(twice, move(90, 60, redoes=5))
    assert (undoable(forward), redoable(forward)) == ([6], [4])


def test_undo_of_an_older_operation_takes_the_later_ones_of_its_branch_along() -> None:
    refs = folded(move(90, 60), made(70), move(60, 70), move(70, 80, undoes=2))
    assert undoable(refs) == [3]
    assert redoable(refs) == [5]


def test_a_new_operation_forgets_what_could_be_redone_on_its_branch() -> None:
    refs = folded(move(90, 60), move(60, 90, undoes=2))
    assert redoable(with_operation(refs, made(70))) == [3]
    restored = RestorePath(9, MAIN, at(90), SnapshotId("1-ab"), b"p", None)
    assert redoable(with_operation(refs, restored)) == []


def test_a_branch_made_again_does_not_hide_the_one_before_from_undo() -> None:
    """Make, drop, make again; two undos bring the first one back, two redos the second."""
    refs = folded(made(70), DropBranch(6, SIDE), made(80))
    assert refs.branch("side").position == at(80)
    once = with_operation(refs, DropBranch(7, SIDE, undoes=OperationId(4)))
    assert once.branch_names() == [MAIN]
    twice = with_operation(once, UndropBranch(8, SIDE, undoes=OperationId(3)))
    assert twice.branch("side").position == at(70)
    back = with_operation(twice, DropBranch(9, SIDE, redoes=OperationId(6)))
    assert back.branch_names() == [MAIN]
    again = with_operation(back, UndropBranch(10, SIDE, redoes=OperationId(5)))
    assert again.branch("side").position == at(80)
    undone = with_operation(again, DropBranch(11, SIDE, undoes=OperationId(8)))
    first = with_operation(undone, UndropBranch(12, SIDE, undoes=OperationId(7)))
    assert first.branch("side").position == at(70)


def test_switching_a_mount_moves_no_ref() -> None:
    refs = folded(made(70))
    switched = with_operation(refs, SwitchHead(9, MAIN, SIDE))
    assert switched == msgspec.structs.replace(refs, operation_count=3)


@pytest.mark.parametrize("text", ["a", "A1", "x.y_z-9", "a" * 128])
def test_names_are_letters_then_more(text: str) -> None:
    assert check_ref_name(text) == text


@pytest.mark.parametrize(
    "text", ["", "1a", "-a", ".a", "a/b", "a b", "a..b", "ä", "a\n", "a\0", "a" * 129]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        check_ref_name(text)
