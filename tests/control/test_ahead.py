"""Which command has what copied before it: all that make something of memory last."""

import pytest

from pyi_fs.control import ahead
from pyi_fs.store.memory import SHARED_MEMORY, is_tmpfs
from tests.support.control_rig import Rig
from tests.support.fixtures import shared_memory

__all__ = ["shared_memory"]

pytestmark = [
    pytest.mark.usefixtures("shared_memory"),
    pytest.mark.skipif(not is_tmpfs(SHARED_MEMORY), reason="/dev/shm is no tmpfs"),
]


@pytest.fixture
def trying(rig: Rig) -> Rig:
    """Returns a mount with an ephemeral branch `try` and an unnamed snapshot of it, number 1."""
    rig.write(".pyi/branch", b"try --ephemeral")
    rig.put("f", b"x", rig.workspace.open_branch("try"))
    rig.read(".pyi/branches/try/.pyi/snapshot")
    return rig


@pytest.mark.parametrize(
    ("path", "text", "is_copied"),
    [
        ("branches/try/.pyi/snapshot", b"name", True),
        ("branches/try/.pyi/snapshot", b"\nonly a message", False),
        ("snapshot", b"name", False),
        ("branch", b"new try", True),
        ("branch", b"new 1", True),
        ("branch", b"new try --ephemeral", False),
        ("branch", b"new", False),
        ("branches/try/.pyi/branch", b"new", True),
        ("restore", b"1", True),
        ("branches/try/.pyi/restore", b"1", False),
        ("head", b"try", True),
        ("head", b"main", False),
        ("drop", b"try", False),
        ("undo", b"", False),
    ],
)
def test_what_lasts_is_copied(trying: Rig, path: str, text: bytes, is_copied: bool) -> None:
    found = trying.open(f".pyi/{path}").ahead(0, text)
    assert (found is not None) == is_copied
    if found is not None:
        found()


@pytest.mark.parametrize("text", [b"nobody", b"..", b"a b c", b"\0", b"x" * 9999])
@pytest.mark.parametrize("name", ["snapshot", "restore", "branch", "head"])
def test_what_is_going_to_be_refused_needs_nothing(trying: Rig, name: str, text: bytes) -> None:
    handle = trying.open(f".pyi/{name}")
    assert handle.ahead(0, text) is None
    assert handle.ahead(1, b"try") is None


def test_what_is_made_as_a_directory_is_copied_too(trying: Rig) -> None:
    found = trying.control.ahead_of_mkdir
    assert found(trying.node(".pyi/branches")) is None
    assert found(trying.node(".pyi/branches/try/.pyi/branches")) is not None
    assert found(trying.node(".pyi/branches/try/.pyi/diff")) is None


def test_a_view_without_a_branch_has_nothing_to_copy(trying: Rig) -> None:
    snapshot = trying.workspace.find_snapshot("1")
    view = trying.session.view_of_snapshot(snapshot)
    assert ahead.of_present(trying.session, view) is None
    assert ahead.of_restoring(trying.session, view, b"1") is None
