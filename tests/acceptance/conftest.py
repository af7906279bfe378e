"""Fixtures of the acceptance tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.acceptance import Served, assert_sound, disk_directory


@pytest.fixture(autouse=True, scope="session")
def _patience(is_long: bool) -> None:
    """Long tests have long-lived mounts."""
    if is_long:
        Served.life_seconds = 1000


@pytest.fixture
def place() -> Iterator[Path]:
    """Gives a directory on a disk; the store `store` in it, if there is one, must end up sound."""
    with disk_directory() as directory:
        yield directory
        if (directory / "store").exists():
            assert_sound(directory / "store")


@pytest.fixture
def served(place: Path, writeback: bool) -> Iterator[Served]:
    """Gives a mount of a new workspace `w`, in both modes of writing."""
    with Served(place / "store", "w", place / "mount", writeback=writeback) as mount:
        yield mount
