"""A real workspace under a control directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import WorkspaceName
from tests.support.control_rig import UID, Rig


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Returns a store with the empty workspace `work`."""
    store = Store.open(tmp_path / "store")
    create_workspace(store, "work", uid=UID, gid=UID)
    yield store
    store.close()


@pytest.fixture
def rig(store: Store) -> Iterator[Rig]:
    """Returns a mount of the branch `main`."""
    rig = Rig(store)
    yield rig
    rig.close()


@pytest.fixture
def other(store: Store) -> Iterator[Workspace]:
    """Returns the workspace as another process has it open: locks are told apart."""
    workspace = Workspace(store, WorkspaceName("work"), holder="/mnt/other")
    yield workspace
    workspace.close()
