"""Fixtures of the tests that hold whole workspaces against something outside."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.acceptance import disk_directory
from tests.support.posix_worlds import comparable_directory


@pytest.fixture(scope="module")
def host() -> Iterator[Path]:
    """Gives a directory of the host to compare with, which every user can reach; needs root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: users, owners and devices are compared")
    with disk_directory() as directory:
        directory.chmod(0o755)
        yield comparable_directory(directory / "host")
