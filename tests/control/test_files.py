"""What each control file answers and does, in a real workspace."""

import json
import re

import pytest

from pyi_fs.control.files import FILES, diff_range
from pyi_fs.engine.gc_record import Record, write_record
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage_record import noted_usage
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, RequestError
from pyi_fs.ids import WorkspaceName
from tests.support.control_rig import Rig

LINE = rb"(\d+-[0-9a-f]{6})\t\+(\d+) ~(\d+) -(\d+)\n"


def id_of(line: bytes) -> str:
    return line.split(b"\t")[0].decode()


def test_snapshot_answers_its_id_and_what_changed(rig: Rig):
    rig.put("a", b"1")
    rig.put("b", b"1")
    first = re.fullmatch(LINE, rig.read(".pyi/snapshot"))
    rig.put("a", b"22")
    rig.remove("b")
    rig.put("c", b"1")
    second = re.fullmatch(LINE, rig.read(".pyi/snapshot"))
    assert first is not None
    assert second is not None
    assert first.groups()[1:] == (b"2", b"0", b"0")
    assert second.groups()[1:] == (b"1", b"1", b"1")
    assert first[1] != second[1]


def test_snapshot_of_an_unchanged_tree_answers_the_same_id(rig: Rig):
    rig.put("a", b"1")
    first = rig.read(".pyi/snapshot")
    count = rig.workspace.refresh().operation_count
    assert rig.read(".pyi/snapshot") == id_of(first).encode() + b"\tunchanged\n"
    assert rig.workspace.refresh().operation_count == count


def test_a_named_snapshot_has_its_message_and_the_descriptor_gives_its_line(rig: Rig):
    rig.put("a", b"1")
    handle = rig.write(".pyi/snapshot", b"good\nit works\n")
    line = handle.read(0, 100)
    assert re.fullmatch(LINE, line)
    snapshot = rig.workspace.find_snapshot("good")
    assert (snapshot.id, snapshot.name, snapshot.message) == (id_of(line), "good", "it works")
    assert handle.read(0, 100) == id_of(line).encode() + b"\tunchanged\n"


def test_a_name_on_an_unchanged_tree_names_the_last_snapshot(rig: Rig):
    rig.put("a", b"1")
    line = rig.read(".pyi/snapshot")
    assert rig.write(".pyi/snapshot", b"good").read(0, 100).endswith(b"\tunchanged\n")
    assert rig.workspace.find_snapshot("good").id == id_of(line)


def test_a_taken_name_is_refused(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"good")
    rig.put("a", b"2")
    with pytest.raises(AlreadyExistsError, match="'good' exists"):
        rig.write(".pyi/snapshot", b"good")


def test_last_gives_the_line_again_without_effect(rig: Rig):
    assert rig.read(".pyi/last") == b""
    rig.put("a", b"1")
    line = rig.read(".pyi/snapshot")
    rig.put("a", b"2")
    assert rig.read(".pyi/last") == line
    assert len(rig.workspace.refs.snapshots) == 1


def test_restore_brings_a_tree_back_and_undo_and_redo_go_to_and_fro(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"good")
    rig.put("a", b"22")
    rig.write(".pyi/restore", b"good\n")
    assert rig.content("a") == b"1"
    assert b"restore of" in rig.read(".pyi/undo")
    assert rig.content("a") == b"1"
    done = rig.write(".pyi/undo", b"\n")
    assert rig.content("a") == b"22"
    assert b"undo operation" in done.read(0, 1000)
    rig.write(".pyi/redo", b"yes")
    assert rig.content("a") == b"1"


def test_restore_of_one_path_leaves_the_rest(rig: Rig):
    rig.put("src/a", b"1")
    rig.put("b", b"1")
    line = rig.read(".pyi/snapshot")
    rig.put("src/a", b"2")
    rig.put("b", b"2")
    rig.write(".pyi/restore", f"{id_of(line)}\tsrc/a\n".encode())
    assert (rig.content("src/a"), rig.content("b")) == (b"1", b"2")


def test_an_operation_is_undone_by_its_number_in_the_log(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.put("a", b"2")
    rig.write(".pyi/restore", b"one")
    restored = json.loads(rig.read(".pyi/log").splitlines()[0])
    assert restored["operation"] == "restore"
    rig.write(".pyi/undo", f"{restored['id']}\n".encode())
    assert rig.content("a") == b"2"


@pytest.mark.parametrize("data", [b"1", b"999", b"9" * 30])
def test_an_operation_that_cannot_be_undone_is_not_found(rig: Rig, data: bytes):
    with pytest.raises(NotFoundError, match="operation"):
        rig.write(".pyi/undo", data)


def test_an_id_of_something_else_undoes_nothing(rig: Rig):
    """Not even the newest operation, which any other text would."""
    rig.put("a", b"1")
    line = rig.read(".pyi/snapshot")
    rig.put("a", b"2")
    rig.write(".pyi/restore", id_of(line).encode())
    with pytest.raises(InvalidArgumentError, match="not an operation's id"):
        rig.write(".pyi/undo", id_of(line).encode())
    assert b"not an operation's id" in rig.read(".pyi/error")
    assert rig.content("a") == b"1"


def test_nothing_to_undo_is_an_answer_to_a_read_and_a_refusal_of_a_write(rig: Rig):
    for name in ("undo", "redo"):
        assert rig.read(f".pyi/{name}") == f"nothing to {name}\n".encode()
        with pytest.raises(NotFoundError, match=f"nothing to {name}"):
            rig.write(f".pyi/{name}", b"\n")


@pytest.mark.parametrize("data", [b"nosuch", b"99", b"12-000000", b"nosuch\ta"])
def test_restore_of_an_unknown_snapshot_is_not_found(rig: Rig, data: bytes):
    with pytest.raises(NotFoundError, match="no snapshot"):
        rig.write(".pyi/restore", data)


def test_branch_and_head_name_this_views_branch_and_the_roots(rig: Rig):
    rig.write(".pyi/branch", b"x\n")
    assert rig.read(".pyi/branch") == b"main\n"
    assert rig.read(".pyi/head") == b"main\n"
    assert rig.read(".pyi/branches/x/.pyi/branch") == b"x\n"
    assert rig.read(".pyi/branches/x/.pyi/head") == b"main\n"


def test_a_command_of_a_branchs_own_directory_acts_on_that_branch(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    x = rig.mkdir(".pyi/branches/x").branch
    rig.put("b", b"1", x)
    line = rig.read(".pyi/branches/x/.pyi/snapshot")
    assert line.endswith(b"\t+1 ~0 -0\n")
    assert rig.read(".pyi/branches/x/.pyi/last") == line
    assert rig.read(".pyi/last") != line
    rig.write(".pyi/branches/x/.pyi/restore", b"one")
    assert rig.names(".pyi/branches/x") == ["a"]
    assert rig.names("") == ["a"]
    rig.write(".pyi/branches/x/.pyi/branch", b"y")
    assert rig.names(".pyi/branches/y") == ["a"]


def test_a_diff_is_between_two_snapshots_or_up_to_now(rig: Rig):
    rig.put("a", b"1")
    rig.put("gone", b"1")
    one = id_of(rig.read(".pyi/snapshot"))
    rig.put("a", b"22")
    rig.remove("gone")
    rig.write(".pyi/snapshot", b"two")
    rig.put("tab\t", b"3")
    assert rig.read(f".pyi/diff/{one}..two") == b"M\ta\nD\tgone\n"
    assert rig.read(f".pyi/diff/{one}..") == b'M\ta\nD\tgone\nA\t"tab\\t"\n'
    assert rig.read(".pyi/diff/1..2") == rig.read(f".pyi/diff/{one}..two")
    assert rig.read(f".pyi/diff/two..{one}") == b"M\ta\nA\tgone\n"
    assert rig.read(f".pyi/diff0/{one}..") == b"M\ta\0D\tgone\0A\ttab\t\0"
    assert rig.read(".pyi/diff/two..two") == b""


def test_a_diff_up_to_now_is_made_at_each_read(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    handle = rig.open(".pyi/diff/one..")
    assert handle.read(0, 100) == b""
    rig.put("b", b"1")
    assert handle.read(0, 100) == b"A\tb\n"


def test_a_diff_of_a_branchs_own_directory_is_up_to_its_now(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.put("b", b"1", rig.mkdir(".pyi/branches/x").branch)
    assert rig.read(".pyi/branches/x/.pyi/diff/one..") == b"A\tb\n"
    assert rig.read(".pyi/diff/one..") == b""


def test_a_diff_of_a_branch_held_elsewhere_is_up_to_its_newest_snapshot(rig: Rig, other: Workspace):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.write(".pyi/branch", b"x")
    theirs = other.open_branch("x")
    rig.put("b", b"1", theirs)
    assert rig.read(".pyi/branches/x/.pyi/diff/one..") == b""
    other.snapshot(theirs)
    assert rig.read(".pyi/branches/x/.pyi/diff/one..") == b"A\tb\n"
    assert rig.read(".pyi/branches/x/.pyi/last").endswith(b"\t+1 ~0 -0\n")


def test_the_last_two_dots_of_a_diff_are_the_separator(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"a.")
    rig.put("a", b"2")
    rig.write(".pyi/snapshot", b"b")
    start, end = diff_range(rig.session, rig.session.root, "a...b")
    assert [start.name, getattr(end, "name", None)] == ["a.", "b"]
    assert diff_range(rig.session, rig.session.root, "a...")[0].name == "a."


def test_the_log_is_newest_first_one_object_a_line(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"good\nit works")
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/head", b"x")
    rig.write(".pyi/drop", b"main")
    found = [json.loads(line) for line in rig.read(".pyi/log").splitlines()]
    assert [one["operation"] for one in found] == ["drop", "head", "branch", "snapshot", "begin"]
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)
    assert found[3]["message"] == "it works"


def test_the_status_is_one_object(rig: Rig, other: Workspace):
    rig.put("a", b"12345")
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/branch", b"y")
    other.open_branch("y")
    rig.resolve(".pyi/branches/x")
    rig.session.mount_status = lambda: {"orphans": 3}
    line = rig.read(".pyi/status")
    assert line.count(b"\n") == 1
    status = json.loads(line)
    assert status["workspace"] == "work"
    assert (status["branch"], status["head"], status["snapshot"]) == ("main", "main", None)
    assert (status["mountpoint"], status["read_only"]) == ("/mnt/work", False)
    assert status["views"] == [
        {"number": 0, "label": "/"},
        {"number": 1, "label": "branches/x"},
    ]
    assert "/mnt/other" in status["held_elsewhere"]["y"]
    assert set(status["held_elsewhere"]) == {"y"}
    assert (status["written_bytes"], status["changed"], status["branches"]) == (5, True, 3)
    assert status["orphans"] == 3
    of_x = json.loads(rig.read(".pyi/branches/x/.pyi/status"))
    assert (of_x["branch"], of_x["head"]) == ("x", "main")


def test_the_status_says_when_the_store_was_collected(rig: Rig):
    storage = rig.session.workspace.store.storage
    assert json.loads(rig.read(".pyi/status"))["collection"] is None
    write_record(storage, Record(1, 2, "time has passed", 3, 4, 5, 6, 7, 8, 9))
    assert json.loads(rig.read(".pyi/status"))["collection"] == {
        "time_ns": 2,
        "reason": "time has passed",
        "freed_bytes": 6,
        "missing_bytes": 9,
    }


def test_the_status_says_who_held_how_much_when_somebody_last_looked(rig: Rig):
    """Without looking itself: what is written afterwards changes nothing."""
    assert json.loads(rig.read(".pyi/status"))["usage"] is None
    store = rig.session.workspace.store
    (found,) = noted_usage(store).workspaces
    said = json.loads(rig.read(".pyi/status"))["usage"]
    assert said["branches"]["main"]["own_bytes"] == found.branches[0].held.own_bytes
    assert set(said["undo"]) == {"own_bytes", "shared_bytes", "frees_bytes"}
    assert json.loads(rig.read(".pyi/status"))["usage"] == said


@pytest.mark.parametrize("name", sorted(FILES))
def test_only_snapshot_has_an_effect_when_it_is_read(rig: Rig, name: bytes):
    rig.put("a", b"1")
    count, tree = rig.workspace.refresh().operation_count, rig.session.root.tree
    handle = rig.open(f".pyi/{name.decode()}")
    assert rig.workspace.refresh().operation_count == count
    handle.read(0, 100)
    assert (rig.workspace.refresh().operation_count > count) == (name == b"snapshot")
    assert rig.session.root.tree is tree


@pytest.mark.parametrize("name", sorted(name for name, file in FILES.items() if file.write))
def test_a_refused_command_leaves_everything_as_it_was(rig: Rig, name: bytes):
    rig.put("a", b"1")
    rig.write(".pyi/branch", b"x")
    count, tree = rig.workspace.refresh().operation_count, rig.session.root.tree
    for data in (b"no such \xff thing", b"9" * 40, b"-", b"x" * 100_000, b"a\0b"):
        if name == b"redo":
            data = b"\n"
        if name == b"undo":
            data = b"123456"
        with pytest.raises(RequestError):
            rig.write(f".pyi/{name.decode()}", data)
    assert rig.workspace.refresh().operation_count == count
    assert rig.session.root.tree is tree


def test_an_unknown_option_is_invalid(rig: Rig):
    with pytest.raises(InvalidArgumentError, match="--fast"):
        rig.write(".pyi/branch", b"x --fast")


def test_status_tells_of_branches_and_of_the_newest_views_of_snapshots(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pyi_fs.control.files._SNAPSHOT_VIEWS_TOLD_MAX", 2)
    rig.write(".pyi/branch", b"side")
    for number in range(4):
        rig.put("a", b"%d" % number)
        rig.session.view_of_snapshot(rig.workspace.snapshot(rig.branch("main")).snapshot)
    rig.resolve(".pyi/branches/side")
    status = json.loads(rig.read(".pyi/status"))
    numbers = [view["number"] for view in status["views"]]
    assert (status["view_count"], numbers) == (6, [0, 3, 4, 5])


def forked(store: Store, name: str, path: str) -> bytes:
    """Returns a file of another workspace's branch `main`."""
    workspace = Workspace(store, WorkspaceName(name))
    try:
        tree = workspace.open_branch("main").tree
        inode = tree.existing(tree.resolve(path.encode()))
        return workspace.reader.read(inode, 0, inode.size)
    finally:
        workspace.close()


def test_a_fork_begins_here_or_at_what_is_named(rig: Rig, store: Store):
    rig.put("f", b"1")
    rig.write(".pyi/snapshot", b"early")
    # A snapshot that is called as the branch is not what "here" means.
    rig.write(".pyi/snapshot", b"main")
    rig.put("f", b"2")
    assert rig.write(".pyi/fork", b"now\n").read(0, 99) == b"now\n"
    rig.write(".pyi/fork", b"then early")
    rig.write(".pyi/branch", b"side")
    rig.put("f", b"3", rig.view_and_rest(".pyi/branches/side/f")[0].branch)
    rig.write(".pyi/branches/side/.pyi/fork", b"of-side")
    rig.write(".pyi/fork", b"of-side-too side")
    contents = {name: forked(store, name, "f") for name in ("now", "then", "of-side")}
    assert contents == {"now": b"2", "then": b"1", "of-side": b"3"}
    assert forked(store, "of-side-too", "f") == b"3"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"work", AlreadyExistsError),
        (b"new nothing", NotFoundError),
        (b"new a b", InvalidArgumentError),
        (b"-x", InvalidArgumentError),
        (b"\n", InvalidArgumentError),
    ],
)
def test_a_fork_that_is_refused_leaves_nothing(rig: Rig, store: Store, data, expected):
    rig.put("f", b"1")
    with pytest.raises(expected):
        rig.write(".pyi/fork", data)
    assert store.workspace_names() == ["work"]
    assert rig.read(".pyi/error").endswith(b"\n")


def test_only_forks_and_mounts_wait():
    assert [name for name, file in FILES.items() if file.blocks] == [b"fork", b"mount"]
