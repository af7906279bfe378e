"""The tree of a position is the fold of the journals on the way to it, however it is got."""

import stat
from itertools import pairwise

import pytest

from pyi_fs import limits
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.history import History
from pyi_fs.errors import CorruptRecordError, NotFoundError
from pyi_fs.format.table import Table
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, Position
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Create, Mutation
from pyi_fs.model.tree import Tree, root_only
from pyi_fs.store import layout
from tests.support.engine_rig import noise
from tests.support.table_rig import collect, grow, remove
from tests.support.workspaces import Boot, Picture, Rig, assert_touched_covers, picture_of


def shown(rig: Rig, tree: Tree) -> Picture:
    return picture_of(rig.workspace.reader, tree)


def fresh(rig: Rig) -> History:
    return History(rig.store.layers)


def folded(rig: Rig, position: Position) -> Tree:
    """Folds every record from the very first layer on, naively."""
    header = rig.store.layers.header(position.layer)
    if header.parent is not None:
        tree = folded(rig, Position(*header.parent))
    else:
        assert header.root is not None
        tree = root_only(*header.root)
    for offset, mutation in rig.store.layers.records(position.layer):
        if offset <= position.offset:
            tree = apply(tree, mutation)
    return tree


def grown(rig: Rig) -> list[Position]:
    """Writes over three layers, off the line once; returns a position in each state."""
    rig.make("a", b"first")
    found = [rig.main.position]
    first = rig.snapshot()
    rig.make("gone", b"x")
    found.append(rig.main.position)
    rig.workspace.restore(rig.main, first)
    rig.mkdir("d")
    rig.make("d/b", b"second")
    found.append(rig.main.position)
    rig.main.roll()
    rig.rename("d/b", "b")
    rig.write("a", b"FI")
    found.append(rig.main.position)
    return found


def test_the_tree_of_a_position_is_its_fold(workspace: Rig) -> None:
    for position in grown(workspace):
        tree = fresh(workspace).tree(position)
        assert shown(workspace, tree) == shown(workspace, folded(workspace, position))
    assert shown(workspace, fresh(workspace).tree(workspace.main.position)) == workspace.picture()


def test_a_base_table_changes_no_tree(workspace: Rig) -> None:
    positions = grown(workspace)
    workspace.checkpoint()
    workspace.write("a", b"after")
    for position in [*positions, workspace.main.position]:
        tree = fresh(workspace).tree(position)
        assert shown(workspace, tree) == shown(workspace, folded(workspace, position))


def test_folded_trees_are_kept_up_to_the_limit(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = grown(workspace)
    monkeypatch.setattr(limits, "FOLDED_TREES_MAX", 2)
    history = fresh(workspace)
    kept = [history.tree(position) for position in positions]
    assert [history.tree(p) is tree for p, tree in zip(positions[2:], kept[2:], strict=True)] == [
        True,
        True,
    ]
    again = history.tree(positions[0])
    assert again is not kept[0]
    assert shown(workspace, again) == shown(workspace, kept[0])


def test_a_known_tree_is_where_folding_begins(workspace: Rig) -> None:
    """Seen by remembering a tree that the journals do not know."""
    grown(workspace)
    position, parent, *_ = workspace.workspace.history.lineage(workspace.main.position)
    history, tree = fresh(workspace), fresh(workspace).tree(parent)
    mark = Create(ROOT_INODE, b"mark", InodeNumber(9_000), stat.S_IFREG, 0, 0, workspace.now())
    history.remember(parent, apply(tree, mark))
    assert history.tree(position).lookup(ROOT_INODE, b"mark") == 9_000
    assert fresh(workspace).tree(position).lookup(ROOT_INODE, b"mark") is None


def test_trees_of_one_layer_come_ascending_and_equal_their_folds(workspace: Rig) -> None:
    workspace.make("a")
    layer = workspace.main.position.layer
    offsets = []
    for number in range(4):
        workspace.write("a", bytes([number]) * 3, number * 2)
        offsets.append(workspace.main.position.offset)
    start = workspace.store.layers.start(layer)
    wanted = [offsets[2], offsets[0], start, offsets[2]]
    found = list(fresh(workspace).trees(layer, wanted))
    assert [offset for offset, _ in found] == [start, offsets[0], offsets[2]]
    for offset, tree in found:
        expected = folded(workspace, Position(layer, offset))
        assert shown(workspace, tree) == shown(workspace, expected)
    assert list(fresh(workspace).trees(layer, [])) == []


def test_each_step_names_the_files_that_hold_other_bytes_than_before(workspace: Rig) -> None:
    names = [workspace.make(name, b"1") for name in ("a", "b", "c")]
    offsets = [workspace.main.position.offset]
    workspace.write("a", b"2")
    workspace.write("b", b"2")
    workspace.make("d", b"1")
    offsets.append(workspace.main.position.offset)
    workspace.make("empty")
    offsets.append(workspace.main.position.offset)
    workspace.write("c", b"3")
    offsets.append(workspace.main.position.offset)
    passed: list[Mutation] = []
    layer = workspace.main.position.layer
    steps = list(fresh(workspace).steps(layer, offsets, passed.append))
    records = workspace.store.layers.records(layer)
    assert passed == [record for offset, record in records if offset > offsets[0]]
    made = workspace.main.tree.lookup(ROOT_INODE, b"d")
    assert [step.offset for step in steps] == offsets
    assert [step.changed for step in steps] == [None, {*names[:2], made}, set(), {names[2]}]


def test_the_end_of_a_layer_is_its_last_whole_record(workspace: Rig) -> None:
    workspace.make("a", b"data")
    position, picture = workspace.main.position, workspace.picture()
    file = workspace.storage.open_append(layout.journal(position.layer))
    whole = file.size_bytes
    file.append(b"\x10\x00\x00\x00torn")
    tree, end = fresh(workspace).end(position.layer)
    assert (end, shown(workspace, tree)) == (position, picture)
    file.truncate(whole)
    file.close()


def test_a_position_that_is_no_end_of_a_record_or_no_layer_is_refused(workspace: Rig) -> None:
    workspace.make("a")
    layer, end = workspace.main.position
    with pytest.raises(CorruptRecordError, match="no more"):
        fresh(workspace).tree(Position(layer, end + 1))
    with pytest.raises(CorruptRecordError):
        fresh(workspace).tree(Position(layer, end - 1))
    with pytest.raises(NotFoundError):
        fresh(workspace).tree(Position(LayerId(12345), 100))


def test_what_a_power_loss_took_is_not_found(workspace: Rig, boot: Boot) -> None:
    workspace.make("a")
    workspace.main.sync()
    position = workspace.main.position
    boot.again()
    workspace.store.layers.boot = boot.id
    history = fresh(workspace)
    assert history.tree(position).lookup(*workspace.at("a")) == workspace.number("a")
    with pytest.raises(NotFoundError, match="power loss"):
        fresh(workspace).tree(Position(position.layer, position.offset + 50))


def test_lineage_goes_from_the_present_to_the_first_layer(workspace: Rig) -> None:
    started_from = workspace.main.position
    positions = grown(workspace)
    line = workspace.workspace.history.lineage(positions[-1])
    assert line[-1] == started_from
    assert positions[0] in line
    assert positions[1] not in line
    for child, parent in pairwise(line):
        assert workspace.store.layers.header(child.layer).parent == parent


def test_touched_covers_what_differs_between_any_two_positions(workspace: Rig) -> None:
    positions = grown(workspace)
    workspace.workspace.make_branch("side", workspace.main)
    workspace.remove("a", on="side")
    workspace.make("d/side", b"s", on="side")
    positions.append(workspace.branch("side").position)
    history = fresh(workspace)
    for a in positions:
        for b in positions:
            touched = history.touched(a, b)
            assert touched is not None
            assert_touched_covers(history.tree(a), history.tree(b), touched)
    assert not history.touched(positions[0], positions[0])


def test_touched_leads_through_forks_and_knows_nothing_of_strangers(workspace: Rig) -> None:
    workspace.make("a", b"1")
    before = workspace.main.position
    fork_workspace(workspace.store, "ws", None, "fork")
    workspace.make("b")
    fork = Rig(workspace.storage, "fork", clock=workspace.clock)
    fork.write("a", b"2")
    fork.remove("a")
    history = fresh(workspace)
    touched = history.touched(workspace.main.position, fork.main.position)
    assert touched is not None
    trees = workspace.main.tree, fork.main.tree
    assert_touched_covers(*trees, touched)
    assert history.touched(before, Position(LayerId(9), 9)) is None
    fork.close()


def counting(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that grows by the number of records of each look into a journal."""
    counts: list[int] = []
    records = rig.store.layers.records

    def counted(layer: LayerId, start: int = 0, stop: int | None = None) -> object:
        found = list(records(layer, start, stop))
        counts.append(len(found))
        return iter(found)

    monkeypatch.setattr(rig.store.layers, "records", counted)
    return counts


def test_one_snapshot_after_the_other_costs_the_records_between_them(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLDED_TREES_MAX", 2)
    positions = []
    for number in range(20):
        workspace.make(f"f{number}")
        positions.append(workspace.main.position)
        if number == 9:
            workspace.main.roll()
    history, counts = fresh(workspace), counting(workspace, monkeypatch)
    trees = [history.tree(position) for position in positions]
    assert sum(counts) == 20
    for tree, position in zip(trees, positions, strict=True):
        assert shown(workspace, tree) == shown(workspace, folded(workspace, position))


def test_a_long_fold_leaves_trees_on_its_way(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyi_fs.engine.history._REMEMBERED_RECORDS", 4)
    positions = []
    for number in range(10):
        workspace.make(f"f{number}")
        positions.append(workspace.main.position)
    history = fresh(workspace)
    history.tree(positions[-1])
    counts = counting(workspace, monkeypatch)
    trees = {index: history.tree(positions[index]) for index in (8, 5, 2)}
    assert [number for number in counts if number] == [1, 2, 3]
    for index, tree in trees.items():
        assert shown(workspace, tree) == shown(workspace, folded(workspace, positions[index]))


def test_what_a_snapshot_knew_to_be_touched_is_not_read_again(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.make("a")
    first = workspace.workspace.find_snapshot(workspace.snapshot())
    workspace.make("b")
    second = workspace.workspace.find_snapshot(workspace.snapshot())
    workspace.workspace.restore(workspace.main, first.id)
    workspace.make("c")
    third = workspace.workspace.find_snapshot(workspace.snapshot())
    history, counts = workspace.workspace.history, counting(workspace, monkeypatch)
    for a, b in ((first, second), (first, third), (second, third)):
        touched = history.touched(a.position, b.position)
        assert touched is not None
        trees = history.tree(a.position), history.tree(b.position)
        assert_touched_covers(*trees, touched)
    assert counts == []


def test_a_table_that_comes_while_an_older_one_goes_is_where_folding_begins(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has passed its layer must not begin at what is left beyond: maps lack what it needs."""
    grow(workspace, 3)
    rolled = []
    for number in range(2):
        workspace.make(f"between{number}", noise(5_000, f"between{number}"))
        workspace.seal_all()
        position, _ = workspace.main.roll()
        rolled.append((workspace.main.position.layer, position))
    workspace.write("changes", b"in a new layer")
    workspace.main.sync()
    shown, present = workspace.picture(), workspace.main.position
    other = Rig(workspace.storage, clock=workspace.clock)
    history = History(other.store.layers)
    base = other.store.layers.base
    passed: list[Table | None] = []

    def slow(of: LayerId) -> Table | None:
        found = base(of)
        if of == rolled[0][0] and not passed:
            # Now two checkpoints end, and the store is collected.
            passed.append(found)
            for layer, position in rolled:
                write_base(workspace.store, layer, position)
            assert collect(workspace).tables == 3
        return found

    monkeypatch.setattr(other.store.layers, "base", slow)
    tree = history.tree(present)
    assert passed == [None]
    assert picture_of(other.workspace.reader, tree) == shown
    other.close()
    workspace.restart()


def test_a_layer_whose_table_comes_while_its_parent_is_folded_begins_with_it(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(workspace, 1)
    position, _ = workspace.main.roll()
    workspace.main.sync()
    layer = workspace.main.position.layer
    history = fresh(workspace)
    tree = history.tree

    def slow(of: Position) -> Tree:
        write_base(workspace.store, layer, position)
        return tree(of)

    monkeypatch.setattr(history, "tree", slow)
    assert history.start_tree(layer).base is workspace.store.layers.base(layer)


def test_tables_that_were_removed_are_let_go_of_with_the_trees_over_them(workspace: Rig) -> None:
    """Mapped files have their blocks until then."""
    made = grow(workspace, 4)
    history = fresh(workspace)
    places = [Position(layer, history.layers.start(layer)) for layer in made]
    kept = [history.tree(place) for place in places]
    tables = [history.layers.base(layer) for layer in made]
    assert [tree.base for tree in kept] == tables
    # By another process: this one has them open.
    other = Rig(workspace.storage, clock=workspace.clock)
    assert remove(other) == 2
    other.close()
    assert [history.layers.base(layer) for layer in made] == tables
    history.forget_removed_tables()
    assert [history.layers.base(layer) for layer in made] == [None, None, *tables[2:]]
    again = [history.tree(place) for place in places]
    assert [new is old for new, old in zip(again, kept, strict=True)] == [False] * 2 + [True] * 2
    assert [shown(workspace, tree) for tree in again] == [shown(workspace, tree) for tree in kept]
