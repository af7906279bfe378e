"""What another user reaches of a mount with `--allow-other`: the tree by its modes, nothing else.

Every file of `.pyi/`, of its views too, and of the store, with every call there is for it; the
owner has looked at all of it before, so the kernel knows the names.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.engine_rig import opened, put, written
from tests.support.mounting import Mount, mounted
from tests.support.reach import let_everybody_reach

pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]
OTHER = 65534
SHUT = {errno.EACCES, errno.ENOENT}


@contextmanager
def as_other() -> Iterator[None]:
    """What is called inside, another user calls, without any group of ours."""
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(OTHER)
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that everybody can walk to, so that what shuts is ours."""
    let_everybody_reach(tmp_path)
    return tmp_path


def refusal(call: Callable[[], object]) -> int:
    """Returns the errno of a call, 0 if it was done."""
    try:
        call()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def open_closed(path: Path, flags: int) -> None:
    os.close(os.open(path, flags, 0o666))


def changes(path: Path) -> dict[str, Callable[[], object]]:
    """Returns what would change a name or what it holds."""
    return {
        "write": partial(open_closed, path, os.O_WRONLY),
        "truncate": partial(os.truncate, path, 0),
        "create": partial(open_closed, path / "new", os.O_CREAT | os.O_WRONLY),
        "mkdir": partial(os.mkdir, path / "new"),
        "symlink": partial(os.symlink, "x", path / "new"),
        "unlink": partial(os.unlink, path),
        "rmdir": partial(os.rmdir, path),
        "rename": partial(os.rename, path, path.with_name("other")),
        "link": partial(os.link, path, path.with_name("other"), follow_symlinks=False),
    }


def looks(path: Path) -> dict[str, Callable[[], object]]:
    """Returns what would tell something of what is there."""
    return {
        "open": partial(open_closed, path, os.O_RDONLY),
        "listdir": partial(os.listdir, path),
        "chdir": partial(os.chdir, path),
        "stat below": partial(os.stat, path / "last"),
    }


def attributes(path: Path) -> dict[str, Callable[[], object]]:
    return {
        "stat": partial(os.stat, path),
        "lstat": partial(os.lstat, path),
        "readlink": partial(os.readlink, path),
        "path": partial(open_closed, path, os.O_PATH | os.O_NOFOLLOW),
        "listxattr": partial(os.listxattr, path),
        "chmod": partial(os.chmod, path, 0o777),
        "chown": partial(os.chown, path, OTHER, OTHER),
        "utime": partial(os.utime, path),
        "setxattr": partial(os.setxattr, path, "user.x", b"1"),
    }


def reached(paths: list[Path]) -> dict[str, int]:
    """Returns what another user got from any call, which has to be nothing."""
    found = {}
    with as_other():
        for path in paths:
            for name, call in {**looks(path), **attributes(path), **changes(path)}.items():
                number = refusal(call)
                if number not in SHUT:
                    found[f"{name} {path}"] = number
    return found


@pytest.fixture
def shared(open_path: Path) -> Iterator[Mount]:
    """A mount for everybody whose tree anybody may write, with views of branch and snapshot."""
    with mounted(open_path, allow_other=True) as mount:
        os.chmod(mount.path, 0o777)
        (mount.path / "d").mkdir(0o755)
        (mount.path / "d" / "public").write_text("public")
        (mount.path / "private").write_text("private")
        os.chmod(mount.path / "private", 0o600)
        mount.control("snapshot", "named")
        (mount.path / ".pyi" / "branches" / "side").mkdir()
        yield mount


def listed(control: Path) -> list[Path]:
    """Returns all below `.pyi`, looked at, with the views in it and names that are not listed."""
    found = sorted(control.rglob("*"))
    for path in found:
        path.lstat()
    views = [control / "branches" / "side", control / "snapshots" / "named"]
    return [
        *found,
        *(view / ".pyi" / name for view in views for name in ("last", "status", "snapshots")),
        *(control / name for name in ("diff/named..", "diff0/named..", "nothing")),
    ]


def test_nothing_of_the_control_directory_is_reached(shared: Mount) -> None:
    control = shared.path / ".pyi"
    paths = listed(control)
    wanted = {"snapshot", "restore", "branches/side/d/public", "snapshots/named/private"}
    assert wanted <= {str(path.relative_to(control)) for path in paths}
    assert len(paths) > 30
    assert reached(paths) == {}
    assert (control / "snapshots" / "named" / "private").read_text() == "private"


def test_the_control_directory_itself_is_shut_and_stays(shared: Mount) -> None:
    """Its name is seen; the root is anybody's to write, and still nobody moves or removes it."""
    control = shared.path / ".pyi"
    before = control.lstat()
    with as_other():
        got = {name: refusal(call) for name, call in looks(control).items()}
        kept = {name: refusal(call) for name, call in changes(control).items()}
        kept["chmod"] = refusal(partial(os.chmod, control, 0o777))
        kept["over it"] = refusal(partial(os.rename, shared.path / "d", control))
    assert got == dict.fromkeys(got, errno.EACCES)
    assert 0 not in kept.values(), kept
    assert control.lstat() == before
    assert shared.ask("branch") == "main\n"


def test_a_directory_that_was_handed_over_is_shut(shared: Mount) -> None:
    """A descriptor for the path alone lets nobody in; one that was opened reads names only."""
    control = os.open(shared.path / ".pyi", os.O_PATH | os.O_DIRECTORY)
    try:
        with as_other():
            for name in ("last", "snapshot", "branches/side/d/public"):
                call = partial(os.open, name, os.O_RDONLY, dir_fd=control)
                assert refusal(call) == errno.EACCES
            assert refusal(partial(os.fchdir, control)) == errno.EACCES
            assert refusal(partial(os.listdir, f"/proc/self/fd/{control}")) in SHUT
    finally:
        os.close(control)


def test_the_tree_is_reached_by_its_modes(shared: Mount) -> None:
    """The same calls, so that what is refused above is refused for what it is."""
    with as_other():
        assert (shared.path / "d" / "public").read_text() == "public"
        assert sorted(os.listdir(shared.path)) == ["d", "private"]
        assert refusal(partial(open_closed, shared.path / "private", os.O_RDONLY)) == errno.EACCES
        assert (
            refusal(partial(open_closed, shared.path / "d" / "public", os.O_WRONLY)) == errno.EACCES
        )
        (shared.path / "theirs").write_text("theirs")
    assert (shared.path / "theirs").stat().st_uid == OTHER


def test_no_file_of_the_store_is_reached(shared: Mount, open_path: Path) -> None:
    """Of this workspace and of another one in the same store, whatever is written there."""
    with opened(open_path / "store") as store, written(store, "another") as (workspace, branch):
        put(branch, b"file", b"text")
        workspace.snapshot(branch)
    paths = sorted((open_path / "store").rglob("*"))
    assert open_path / "store" / "workspaces" / "another" / "log" in paths
    with as_other():
        assert refusal(partial(os.listdir, open_path / "store")) == errno.EACCES
        assert refusal(partial(os.chdir, open_path / "store")) == errno.EACCES
    assert shared.path.stat().st_mode & 0o777 == 0o777
    assert reached(paths) == {}
