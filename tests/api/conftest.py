"""A workspace of the API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.api import Workspace
from pyi_fs.engine.fsck import check_directory


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workspace]:
    """Returns an empty workspace; afterwards the store has to be sound."""
    with Workspace.open("work", store=tmp_path / "store") as workspace:
        yield workspace
    assert check_directory(tmp_path / "store", verify_data=True) == []
