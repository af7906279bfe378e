"""Fixtures of the adapter's tests."""

import os
import tempfile
from pathlib import Path

import pytest

from pyi_fs.model import check
from tests.support.fuse_rig import Rig


@pytest.fixture
def rig(tmp_path):
    """Gives handlers on a new workspace, and checks its tree afterwards."""
    rig = Rig(tmp_path / "store")
    yield rig
    branch = rig.session.root.branch
    if branch is not None:
        assert not list(check.check(branch.tree))
    rig.close()


@pytest.fixture
def open_directory():
    """Gives a directory that other users can reach; pytest's own are its user's alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
