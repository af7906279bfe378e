"""`Workspace.mount`: served by what serves a mount already."""

import errno
from pathlib import Path

import pytest

from pyi_fs import Workspace
from pyi_fs.errors import PyiError
from tests.support.mounting import mounted


@pytest.mark.mount
@pytest.mark.slow
def test_a_mount_that_serves_one_only_says_so(tmp_path: Path):
    """The program of tests is one of those; what serves several is in `tests/cli`."""
    (tmp_path / "m").mkdir()
    with mounted(tmp_path, transport="direct") as mount:
        with pytest.raises(OSError, match="serves one mount only") as caught:
            Workspace.mount("w", tmp_path / "m", beside=mount.path)
        assert caught.value.errno == errno.EOPNOTSUPP
        assert caught.value.filename == str(tmp_path / "m")


def test_a_branch_and_a_snapshot_exclude_each_other(tmp_path: Path):
    with pytest.raises(ValueError, match="not both"):
        Workspace.mount("w", tmp_path, beside=tmp_path, branch="main", snapshot="1")


def test_what_is_no_mount_cannot_be_asked(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Workspace.mount("w", tmp_path, beside=tmp_path)


def test_a_newline_at_the_end_of_a_mountpoint_belongs_to_it(tmp_path: Path):
    (tmp_path / ".pyi").mkdir()
    control = tmp_path / ".pyi" / "mount"
    control.touch()
    Workspace.mount("w", "/a\n", beside=tmp_path)
    assert control.read_bytes() == b"w/ /a\n\n"


def test_what_is_no_name_of_a_branch_is_not_asked_for(tmp_path: Path):
    with pytest.raises(PyiError, match="not a name"):
        Workspace.mount("w", "/a", beside=tmp_path, branch="try /tmp/other")
