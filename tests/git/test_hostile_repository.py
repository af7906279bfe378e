"""A repository that somebody else may write to: nothing of it leads an export out, or makes it run.

What is exported goes into objects and one ref; its names are never those of files on the host.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.errors import AccessDeniedError, BusyError
from pyi_fs.git.export import Options, export
from tests.support.git_rig import Rig, rig_in

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        yield rig


def run(rig: Rig, **options: object) -> None:
    export(rig.workspace, rig.repo, Options(**options), environment=rig.environment)  # type: ignore[arg-type]


def seen(place: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Returns all below a directory but `.git`: inode, mode, mtime, and what it holds."""
    found = {}
    for path in sorted(place.rglob("*")):
        if ".git" in path.parts:
            continue
        status = path.lstat()
        content = b""
        if stat.S_ISLNK(status.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        name = str(path.relative_to(place))
        found[name] = (status.st_ino, status.st_mode, status.st_mtime_ns, content)
    return found


def test_a_work_tree_of_links_is_not_written_and_leads_nowhere(rig: Rig, tmp_path: Path) -> None:
    """The same paths in the work tree lead outside; in the workspace too, then no longer."""
    outside = tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    for name in ("f", "d/f", ".gitignore"):
        (outside / name).write_text("somebody's")
    rig.write(b"first", b"1")
    rig.snapshot("first")
    run(rig)
    for name in ("f", "d", ".gitignore"):
        (rig.repo / name).symlink_to(outside / name)
    before = seen(outside), seen(rig.repo)
    rig.make(b"e", stat.S_IFLNK | 0o777, target=os.fsencode(outside))
    rig.write(b".gitignore", b"*.o\n")
    for path in (b"f", b"d/f"):
        rig.write(path, b"of the workspace")
    rig.snapshot("two")
    run(rig, respect_gitignore=True)
    rig.remove(b"e")
    rig.write(b"e/f", b"of the workspace")
    rig.remove(b"d/f")
    rig.snapshot("three")
    run(rig)
    assert (seen(outside), seen(rig.repo)) == before
    assert rig.fsck() == ""
    assert rig.committed("pyi/ws")[b"e/f"] == (b"100644", b"of the workspace")


@pytest.mark.parametrize(
    "place",
    [
        "objects",
        "objects/pack",
        "objects/aa",
        "refs",
        "refs/heads",
        "refs/heads/pyi",
        "refs/heads/pyi/ws",
        "logs",
        "logs/refs/heads/pyi",
    ],
)
def test_nothing_is_written_through_a_link(rig: Rig, tmp_path: Path, place: str) -> None:
    """As it was left behind by whoever may write to the git directory."""
    rig.write(b"f", b"1")
    rig.snapshot("one")
    run(rig, git_branch="other")
    outside = tmp_path / "outside"
    link = rig.repo / ".git" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.exists():
        link.rename(outside)
    else:
        outside.mkdir()
    link.symlink_to(outside)
    before = seen(outside)
    rig.write(b"f", b"2")
    rig.snapshot("two")
    with pytest.raises(AccessDeniedError, match="symbolic link"):
        run(rig)
    assert seen(outside) == before


def test_a_work_tree_beside_its_repository_is_as_good(rig: Rig, tmp_path: Path) -> None:
    """Its `.git` is a file that names another directory, whose refs are elsewhere again."""
    rig.write(b"f", b"1")
    rig.snapshot("one")
    run(rig)
    rig.git("worktree", "add", "-q", str(tmp_path / "beside"), "-b", "beside", "pyi/ws")
    (rig.repo / ".git" / "refs" / "heads" / "pyi").rename(tmp_path / "outside")
    (rig.repo / ".git" / "refs" / "heads" / "pyi").symlink_to(tmp_path / "outside")
    rig.repo = tmp_path / "beside"
    with pytest.raises(AccessDeniedError, match="refs/heads/pyi is a symbolic link"):
        run(rig)
    run(rig, git_branch="new")
    assert rig.trailers("new") == rig.trailers("pyi/ws")


def test_a_ref_that_stands_for_another_moves_none(rig: Rig) -> None:
    """It would move the branch that is checked out."""
    rig.write(b"f", b"1")
    rig.snapshot("one")
    run(rig, git_branch="mine")
    rig.git("checkout", "-q", "mine")
    rig.git("symbolic-ref", "refs/heads/pyi/ws", "refs/heads/mine")
    rig.write(b"f", b"2")
    rig.snapshot("two")
    with pytest.raises(AccessDeniedError, match="stands for 'refs/heads/mine'"):
        run(rig)
    with pytest.raises(BusyError):
        run(rig, git_branch="mine")
    assert len(rig.ids("mine")) == 1


def test_no_hook_of_the_repository_runs(rig: Rig, tmp_path: Path) -> None:
    rig.write(b"f", b"1")
    rig.snapshot("one")
    run(rig)
    hooks = rig.repo / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc", "update", "fsmonitor"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    rig.git("config", "core.fsmonitor", str(hooks / "fsmonitor"))
    rig.write(b"f", b"2")
    rig.snapshot("two")
    run(rig)
    assert len(rig.ids()) == 2
    assert not (tmp_path / "ran").exists()
    rig.git("update-ref", "refs/heads/seen", "pyi/ws")
    assert "reference-transaction" in (tmp_path / "ran").read_text()
