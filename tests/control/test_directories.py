"""Which names there are, where the symlinks lead, and what mkdir and rmdir do."""

import pytest

from pyi_fs.control.directories import DIRECTORY_NAMES, FILE_NAMES
from pyi_fs.control.view import View
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import (
    AlreadyExistsError,
    BusyError,
    InvalidArgumentError,
    NotFoundError,
    NotPermittedError,
)
from pyi_fs.ids import BranchName
from tests.support.control_rig import Rig


def kinds(rig: Rig, path: str) -> dict[str, str]:
    entries = rig.control.entries(rig.node(path))
    return {
        name.decode(): "view" if isinstance(entry, View) else entry.kind for name, entry in entries
    }


def test_the_roots_directory_has_all_files_and_directories(rig: Rig):
    files = [
        "branch",
        "drop",
        "error",
        "fork",
        "head",
        "last",
        "log",
        "mount",
        "redo",
        "restore",
        "snapshot",
        "status",
        "undo",
    ]
    expected = dict.fromkeys(files, "file")
    expected |= dict.fromkeys(["branches", "diff", "diff0", "snapshots"], "directory")
    assert kinds(rig, ".pyi") == expected
    assert len(FILE_NAMES) + len(DIRECTORY_NAMES) == len(expected)


@pytest.mark.parametrize("name", ["merge", "metrics", "nosuch", ".pyi", "a\n", ""])
def test_other_names_do_not_exist(rig: Rig, name: str):
    assert rig.control.lookup(rig.node(".pyi"), name.encode()) is None


def test_listings_and_lookups_agree(rig: Rig):
    rig.put("a", b"1")
    rig.read(".pyi/snapshot")
    rig.put("a", b"2")
    rig.write(".pyi/snapshot", b"named")
    rig.mkdir(".pyi/branches/x")
    above = (".pyi", ".pyi/branches", ".pyi/snapshots")
    for path in (*above, ".pyi/branches/x/.pyi", ".pyi/branches/x/.pyi/branches"):
        node = rig.node(path)
        for name, entry in rig.control.entries(node):
            assert rig.control.lookup(node, name) == entry, (path, name)


def test_a_snapshots_view_has_no_control_directory(rig: Rig):
    rig.put("a", b"1")
    one = rig.mkdir(".pyi/snapshots/one")
    assert rig.control.root(one.number) is None
    with pytest.raises(NotFoundError):
        rig.resolve(".pyi/snapshots/one/.pyi")


def test_in_a_branchs_own_directory_views_are_symlinks(rig: Rig):
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/branch", b"y")
    assert kinds(rig, ".pyi/branches") == {"main": "link", "x": "view", "y": "view"}
    assert set(kinds(rig, ".pyi/branches/x/.pyi/branches").values()) == {"link"}
    assert kinds(rig, ".pyi/branches/x/.pyi")["snapshots"] == "link"
    assert kinds(rig, ".pyi/branches/x/.pyi")["diff"] == "directory"
    assert rig.readlink(".pyi/branches/main") == "../.."
    assert rig.readlink(".pyi/branches/x/.pyi/branches/x") == "../.."
    assert rig.readlink(".pyi/branches/x/.pyi/branches/y") == "../../../y"
    assert rig.readlink(".pyi/branches/x/.pyi/branches/main") == "../../../../.."
    assert rig.readlink(".pyi/branches/x/.pyi/snapshots") == "../../../snapshots"


def test_every_way_to_a_view_ends_at_its_one_path(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/branch", b"y")
    x, y = ".pyi/branches/x", ".pyi/branches/y"
    ways = {
        ".pyi/branches/main": "",
        f"{x}/.pyi/branches/x": x,
        f"{x}/.pyi/branches/y": y,
        f"{x}/.pyi/branches/main": "",
        f"{x}/.pyi/branches/y/.pyi/branches/x/.pyi/branches/main": "",
        f".pyi/branches/main/.pyi/branches/main/{x}": x,
        f"{x}/.pyi/branches/main/{y}/.pyi/branches/y": y,
        f"{x}/.pyi/snapshots": ".pyi/snapshots",
        f"{x}/.pyi/snapshots/one": ".pyi/snapshots/one",
        f"{x}/.pyi/snapshots/1": ".pyi/snapshots/one",
        ".pyi/branches/main/.pyi/snapshots/1": ".pyi/snapshots/one",
    }
    assert {way: rig.real_path(way) for way in ways} == ways
    for way, path in ways.items():
        found = rig.resolve(path) if path else rig.session.root
        assert rig.resolve(way) == found


def test_the_ways_are_right_after_the_head_was_switched(rig: Rig):
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/branch", b"y")
    rig.write(".pyi/head", b"x")
    ways = {
        ".pyi/branches/x": "",
        ".pyi/branches/main": ".pyi/branches/main",
        ".pyi/branches/main/.pyi/branches/main": ".pyi/branches/main",
        ".pyi/branches/main/.pyi/branches/x": "",
        ".pyi/branches/y/.pyi/branches/main": ".pyi/branches/main",
    }
    assert {way: rig.real_path(way) for way in ways} == ways


def test_a_snapshot_stands_at_its_name_and_its_id_is_a_symlink(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"good")
    one = rig.workspace.find_snapshot("good").id
    rig.put("a", b"2")
    two = rig.read(".pyi/snapshot").split(b"\t")[0].decode()
    assert kinds(rig, ".pyi/snapshots") == {one: "link", two: "view", "good": "view"}
    assert rig.ls(".pyi/snapshots") == [one, two, "good"]
    assert rig.readlink(f".pyi/snapshots/{one}") == "good"
    assert rig.readlink(".pyi/snapshots/2") == two
    assert rig.content(f".pyi/snapshots/{one}/a") == b"1"
    assert rig.content(".pyi/snapshots/2/a") == b"2"


def test_a_snapshot_that_gets_a_name_keeps_its_view(rig: Rig):
    rig.put("a", b"1")
    taken = rig.read(".pyi/snapshot").split(b"\t")[0].decode()
    view = rig.resolve(f".pyi/snapshots/{taken}")
    rig.write(".pyi/snapshot", b"good")
    assert rig.resolve(".pyi/snapshots/good") is view
    assert rig.readlink(f".pyi/snapshots/{taken}") == "good"


def test_mkdir_takes_a_snapshot_and_rmdir_deletes_one(rig: Rig):
    rig.put("a", b"1")
    assert rig.mkdir(".pyi/snapshots/one") is rig.resolve(".pyi/snapshots/one")
    rig.put("a", b"2")
    taken = rig.read(".pyi/snapshot").split(b"\t")[0].decode()
    rig.rmdir(".pyi/snapshots/one")
    rig.rmdir(f".pyi/snapshots/{taken}")
    assert rig.ls(".pyi/snapshots") == []
    with pytest.raises(NotFoundError, match="no snapshot 'one'"):
        rig.rmdir(".pyi/snapshots/one")


def test_mkdir_makes_a_branch_and_rmdir_drops_it(rig: Rig):
    rig.put("a", b"1")
    x = rig.mkdir(".pyi/branches/x")
    assert x.branch is rig.branch("x")
    assert rig.names(".pyi/branches/x") == ["a"]
    rig.rmdir(".pyi/branches/x")
    assert rig.ls(".pyi/branches") == ["main"]
    with pytest.raises(NotFoundError, match="no branch 'x'"):
        rig.rmdir(".pyi/branches/x")


@pytest.mark.parametrize("directory", ["snapshots", "branches"])
@pytest.mark.parametrize("name", ["1x", "a b", "..x", "-x", "a..b", "ä", "x" * 129])
def test_mkdir_refuses_what_is_no_name(rig: Rig, directory: str, name: str):
    rig.put("a", b"1")
    with pytest.raises(InvalidArgumentError):
        rig.mkdir(f".pyi/{directory}/{name}")
    assert rig.ls(".pyi/snapshots") == []
    assert rig.ls(".pyi/branches") == ["main"]


def test_mkdir_refuses_a_name_that_is_taken(rig: Rig):
    rig.put("a", b"1")
    rig.mkdir(".pyi/snapshots/one")
    rig.put("a", b"2")
    for path in (".pyi/snapshots/one", ".pyi/branches/main"):
        with pytest.raises(AlreadyExistsError):
            rig.mkdir(path)


@pytest.mark.parametrize("path", [".pyi/x", ".pyi/diff/a..b", ".pyi/diff0/x"])
def test_nothing_is_made_elsewhere(rig: Rig, path: str):
    with pytest.raises(NotPermittedError, match="only in snapshots/ and branches/"):
        rig.mkdir(path)


@pytest.mark.parametrize("path", [".pyi/branches", ".pyi/snapshots", ".pyi/diff", ".pyi/last"])
def test_nothing_is_removed_elsewhere(rig: Rig, path: str):
    with pytest.raises(NotPermittedError, match="cannot be removed"):
        rig.rmdir(path)


def test_a_branchs_own_directory_makes_branches_by_its_file_only(rig: Rig):
    rig.mkdir(".pyi/branches/x")
    with pytest.raises(NotPermittedError, match="branch"):
        rig.mkdir(".pyi/branches/x/.pyi/branches/y")
    rig.write(".pyi/branches/x/.pyi/branch", b"y")
    assert rig.ls(".pyi/branches") == ["main", "x", "y"]


def test_a_branch_held_elsewhere_cannot_be_removed(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    other.open_branch("x")
    with pytest.raises(BusyError, match="/mnt/other"):
        rig.rmdir(".pyi/branches/x")


def test_diffs_are_found_and_not_listed(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    for directory in (".pyi/diff", ".pyi/diff0"):
        node = rig.node(directory)
        assert rig.control.entries(node) == []
        for name in (b"one..", b"one..one", b"1..one", b"one..1"):
            assert rig.control.lookup(node, name) == node.child(name, "file")
        for name in (
            b"one",
            b"..one",
            b"..",
            b"one..two",
            b"two..",
            b"one...one",
            b"main..",
            b"\xff",
        ):
            assert rig.control.lookup(node, name) is None


def test_walking_all_names_has_no_effect(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.write(".pyi/branch", b"x")
    count = rig.workspace.refresh().operation_count
    todo = [rig.node(".pyi")]
    seen = 0
    while todo:
        node = todo.pop()
        for name, entry in rig.control.entries(node):
            seen += 1
            if isinstance(entry, View):
                top = rig.control.root(entry.number)
                todo += [top] if top is not None else []
                continue
            rig.control.mode(entry)
            if entry.kind == "directory":
                todo.append(entry)
            if entry.kind == "link":
                rig.control.readlink(entry)
            assert rig.control.lookup(node, name) == entry
    assert seen > 30
    assert rig.workspace.refresh().operation_count == count
    assert rig.workspace.opened(BranchName("x")) is None
