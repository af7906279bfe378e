"""Names of files, and what they stand for."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.ids import BranchName, LayerId, SegmentId, WorkspaceName, segment_id
from pyi_fs.store import layout

LAYER = LayerId(0x0123456789)
SEGMENT = segment_id(LAYER, 42)


def test_every_file_of_a_layer_is_in_its_directory() -> None:
    directory = "layers/01/0123456789"
    assert layout.layer_directory(LAYER) == directory
    assert {
        layout.journal(LAYER): "journal",
        layout.base(LAYER): "base",
        layout.synced(LAYER): "synced",
        layout.noted(LAYER): "noted",
        layout.pins(LAYER): "pins",
        layout.scratch(SEGMENT): "scratch-000042",
        layout.runs(SEGMENT): "runs-000042",
        layout.seal_map(SEGMENT): "map-000042",
    } == {f"{directory}/{name}": name for name in (
        "journal", "base", "synced", "noted", "pins",
        "scratch-000042", "runs-000042", "map-000042",
    )}  # fmt: skip


def test_every_file_of_a_workspace_is_in_its_directory() -> None:
    name = WorkspaceName("ws")
    assert layout.workspace_directory(name) == "workspaces/ws"
    assert layout.operations_log(name) == "workspaces/ws/log"
    assert layout.branch_lock(name, BranchName("b")) == "workspaces/ws/locks/b"


@given(st.integers(0, 2**40 - 1), st.integers(0, 2**24 - 1))
def test_names_are_parsed_back(layer: int, index: int) -> None:
    path = PurePosixPath(layout.scratch(segment_id(LayerId(layer), index)))
    assert layout.layer_of(path.parent.name) == layer
    assert layout.segment_of(path.name) == index
    assert layout.segment_of(path.name, "runs-") is None
    runs = PurePosixPath(layout.runs(SegmentId(layer << 24 | index)))
    assert layout.segment_of(runs.name, "runs-") == index


@pytest.mark.parametrize("name", ["journal", "scratch-", "scratch-x1", "scratch-1.tmp", "pins", ""])
def test_other_names_are_no_segments(name: str) -> None:
    assert layout.segment_of(name) is None


@pytest.mark.parametrize("name", ["", "01", "0123456789a", "01234567xy", "0123456789.tmp"])
def test_other_names_are_no_layers(name: str) -> None:
    assert layout.layer_of(name) is None
