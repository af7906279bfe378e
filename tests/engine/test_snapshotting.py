"""A snapshot says how much changed, is taken once for each change, and is named once."""

import pytest

from pyi_fs.engine.snapshotting import changes, take_snapshot
from pyi_fs.errors import AlreadyExistsError, InvalidArgumentError
from pyi_fs.limits import MESSAGE_BYTES_MAX
from pyi_fs.model.diff import Change
from tests.support.workspaces import Rig


def test_the_counts_are_those_of_the_changes_since_the_last(workspace: Rig) -> None:
    for name in ("a", "b", "c"):
        workspace.make(name, b"1")
    first = workspace.snapshot()
    workspace.write("a", b"2")
    workspace.remove("b")
    workspace.make("d")
    ws = workspace.workspace
    answer = take_snapshot(ws.log, ws.history, workspace.main, automatic="why")
    assert answer.line() == f"{answer.snapshot.id}\t+1 ~1 -1"
    assert (answer.snapshot.parent, answer.snapshot.automatic) == (first, "why")
    found = changes(ws.history, ws.find_snapshot(first), answer.snapshot)
    assert found == [Change("M", b"a"), Change("D", b"b"), Change("A", b"d")]
    workspace.remove("d")
    assert changes(ws.history, answer.snapshot, workspace.main) == [Change("D", b"d")]


def test_an_unchanged_tree_is_named_once_and_then_taken_again(workspace: Rig) -> None:
    ws = workspace.workspace
    workspace.make("a")
    first = workspace.snapshot()
    named = take_snapshot(ws.log, ws.history, workspace.main, name="good", message="m")
    assert (named.snapshot.id, named.unchanged, named.snapshot.message) == (first, True, "m")
    other = take_snapshot(ws.log, ws.history, workspace.main, name="better")
    assert other.snapshot.id != first
    count = ws.refs.operation_count
    assert take_snapshot(ws.log, ws.history, workspace.main).snapshot == other.snapshot
    assert ws.refs.operation_count == count


def test_a_taken_name_or_a_message_too_long_is_refused_and_nothing_is_noted(workspace: Rig) -> None:
    ws = workspace.workspace
    workspace.make("a")
    workspace.snapshot("good")
    workspace.make("b")
    count = ws.refs.operation_count
    with pytest.raises(AlreadyExistsError, match="'good' exists"):
        take_snapshot(ws.log, ws.history, workspace.main, name="good")
    long = "x" * (MESSAGE_BYTES_MAX + 1)
    with pytest.raises(InvalidArgumentError, match="message"):
        take_snapshot(ws.log, ws.history, workspace.main, name="long", message=long)
    assert ws.refs.operation_count == count
    assert workspace.main.is_changed


def test_what_is_only_to_be_remembered_is_so_when_it_was_answered(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, read = workspace.workspace.store.layers, list[object]()
    records = layers.records

    def counted(*where: object) -> object:
        read.append(where)
        return records(*where)  # type: ignore[arg-type]

    monkeypatch.setattr(layers, "records", counted)
    history, afterwards = workspace.workspace.history, workspace.workspace.afterwards
    positions = []
    for name in ("a", "b", "c"):
        workspace.make(name)
        afterwards.puts_off = name != "a"
        positions.append(workspace.workspace.snapshot(workspace.main).snapshot.position)
    # Whoever asks before finds out, and the same as who asks after.
    before = history.touched(positions[0], positions[1])
    assert read
    read.clear()
    afterwards.run()
    after = history.touched(positions[1], positions[2])
    assert not read
    assert before is not None
    assert after is not None
    assert {name for _, name in before.names} == {b"b"}
    assert {name for _, name in after.names} == {b"c"}
