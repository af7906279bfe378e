"""A store and mountpoints for commands; whatever a test leaves mounted is ended."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyi_fs.cli.mountinfo import is_below, mounts
from tests.support.commands import Done, environment, program, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the store of the test: also that of commands without `--store`."""
    path = tmp_path / "store"
    monkeypatch.setenv("PYI_STORE", str(path))
    return path


@pytest.fixture
def mountpoint(tmp_path: Path) -> Iterator[Path]:
    """Returns an empty directory; ends every mount below the test's directory afterwards."""
    path = tmp_path / "mnt"
    path.mkdir()
    yield path
    left = [m.mountpoint for m in mounts() if is_below(m.mountpoint, str(tmp_path))]
    for place in reversed(left):
        subprocess.run(program("mount", "--unmount", place), env=environment(), check=False)
        subprocess.run(["umount", "--lazy", place], stderr=subprocess.DEVNULL, check=False)


@pytest.fixture
def mount(store: Path, mountpoint: Path) -> Callable[..., Done]:
    """Returns `mount(WORKSPACE, *options, at=MOUNTPOINT)`: runs pyi-mount, which must succeed."""

    def mounted(workspace: str, *options: object, at: Path = mountpoint) -> Done:
        at.mkdir(exist_ok=True)
        done = run("mount", *options, workspace, at)
        assert done.code == 0, done.errors
        return done

    return mounted
