"""The control directory as the mount asks it: modes, users, names, wrong nodes."""

import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.control.node import ControlNode
from pyi_fs.control.view import View
from pyi_fs.errors import (
    InvalidArgumentError,
    NameTooLongError,
    NotADirectoryInTreeError,
    NotPermittedError,
    RequestError,
    StaleNodeError,
)
from pyi_fs.ids import ViewNumber
from tests.support.control_rig import UID, Rig


def modes(rig: Rig, path: str) -> dict[str, str]:
    found = {}
    for name, entry in rig.control.entries(rig.node(path)):
        assert isinstance(entry, ControlNode)
        found[name.decode()] = stat.filemode(rig.control.mode(entry))
    return found


def test_modes_say_what_can_be_done(rig: Rig):
    rig.write(".pyi/branch", b"x")
    written = ["branch", "drop", "fork", "head", "mount", "redo", "restore"]
    written += ["snapshot", "undo"]
    expected = dict.fromkeys(written, "-rw-------")
    expected |= dict.fromkeys(["error", "last", "log", "status"], "-r--------")
    expected |= dict.fromkeys(["branches", "snapshots"], "drwx------")
    expected |= dict.fromkeys(["diff", "diff0"], "dr-x------")
    assert modes(rig, ".pyi") == expected
    assert modes(rig, ".pyi/branches/x/.pyi") == expected | {"snapshots": "lrwxrwxrwx"}
    assert stat.filemode(rig.control.mode(rig.node(".pyi"))) == "drwx------"


def test_only_its_owner_and_root_may_use_it(rig: Rig):
    assert rig.control.may_use(UID)
    assert rig.control.may_use(0)
    assert not rig.control.may_use(UID + 1)


def test_names_that_are_too_long_are_refused(rig: Rig):
    top = rig.node(".pyi/snapshots")
    assert rig.control.lookup(top, b"n" * 255) is None
    with pytest.raises(NameTooLongError):
        rig.control.lookup(top, b"n" * 256)
    for change in (rig.control.mkdir, rig.control.rmdir):
        with pytest.raises(NameTooLongError):
            change(top, b"n" * 256)


def test_a_name_that_is_not_ascii_does_not_exist(rig: Rig):
    assert rig.control.lookup(rig.node(".pyi/branches"), "mäin".encode()) is None
    assert rig.control.lookup(rig.node(".pyi"), b"\xff") is None


def test_each_kind_of_node_refuses_what_the_others_do(rig: Rig):
    link = rig.walk(".pyi/branches/main", follow=False)[-1][1]
    file, directory = rig.node(".pyi/last"), rig.node(".pyi")
    assert isinstance(link, ControlNode)
    for node in (file, link):
        with pytest.raises(NotADirectoryInTreeError):
            rig.control.lookup(node, b"last")
        with pytest.raises(NotADirectoryInTreeError):
            rig.control.entries(node)
    for node in (file, directory):
        with pytest.raises(InvalidArgumentError):
            rig.control.readlink(node)
    for node in (link, directory):
        with pytest.raises(InvalidArgumentError):
            rig.control.open(node, uid=UID)


def test_nodes_of_a_view_that_is_gone_are_stale(rig: Rig):
    rig.mkdir(".pyi/branches/x")
    top = rig.node(".pyi/branches/x/.pyi")
    rig.write(".pyi/drop", b"x")
    attempts = (
        lambda: rig.control.lookup(top, b"last"),
        lambda: rig.control.entries(top),
        lambda: rig.control.open(top.child(b"last", "file"), uid=UID),
        lambda: rig.control.readlink(top.child(b"snapshots", "link")),
        lambda: rig.control.mkdir(top.child(b"branches", "directory"), b"y"),
    )
    for attempt in attempts:
        with pytest.raises(StaleNodeError):
            attempt()
    assert rig.control.root(top.view) is None
    assert rig.control.root(ViewNumber(99)) is None


def test_other_things_than_directories_cannot_be_made(rig: Rig):
    with pytest.raises(NotPermittedError, match="'new'"):
        rig.control.refuse_new(b"new", uid=UID)
    assert b"'new'" in rig.read(".pyi/error")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    directory=st.sampled_from([".pyi", ".pyi/branches", ".pyi/snapshots", ".pyi/diff"]),
    name=st.binary(min_size=1, max_size=20) | st.from_regex(rb"[a-z0-9.]{1,6}", fullmatch=True),
)
def test_any_name_is_found_or_not_and_made_or_refused(rig: Rig, directory: str, name: bytes):
    node = rig.node(directory)
    before = rig.control.lookup(node, name)
    try:
        made = rig.control.mkdir(node, name)
    except RequestError:
        assert rig.control.lookup(node, name) == before
    else:
        assert isinstance(made, View)
        assert rig.control.lookup(node, name) is made
        rig.control.rmdir(node, name)
        assert rig.control.lookup(node, name) is None
