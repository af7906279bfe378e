"""What is in a store, as values."""

import json
from dataclasses import asdict

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.cli.inventory import all_facts, used, workspace_facts
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import WorkspaceName


@pytest.fixture
def opened(tmp_path):
    workspaces.make_empty(tmp_path, "a")
    store = Store.open(tmp_path)
    yield store
    store.close()


def test_branches_snapshots_and_who_uses_them(opened):
    workspace = Workspace(opened, WorkspaceName("a"), holder="/mnt/a")
    branch = workspace.open_branch("main")
    first = workspace.snapshot(branch, name="first", message="why").snapshot
    workspace.make_branch("dev", branch, ephemeral=True)

    facts = workspace_facts(opened, "a", used(opened)["a"])
    dev, main = facts.branches
    assert (dev.name, dev.ephemeral, dev.in_use) == ("dev", True, None)
    assert (main.name, main.last_snapshot) == ("main", first.id)
    assert main.in_use is not None
    assert main.in_use.startswith("/mnt/a")
    (snapshot,) = facts.snapshots
    assert (snapshot.name, snapshot.message, snapshot.automatic) == ("first", "why", "")
    assert facts.sizes is not None
    assert facts.sizes.own_bytes > 0
    assert json.loads(json.dumps(asdict(facts)))["name"] == "a"
    workspace.close()


def test_sizes_are_left_out_unless_asked_for(opened):
    (facts,) = all_facts(opened, sizes=False)
    assert facts.sizes is None
    assert all(branch.sizes is None for branch in facts.branches)
    (facts,) = all_facts(opened, sizes=True)
    assert facts.sizes is not None


def test_a_missing_one_is_an_error(opened):
    with pytest.raises(NotFoundError):
        workspace_facts(opened, "b")
