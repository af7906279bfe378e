"""A purge of what an ephemeral branch has in memory, with and without a copy of it on disk."""

from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from pyi_fs.ids import BranchName
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.fixtures import shared_memory
from tests.support.purge_rig import SECRET, purge

__all__ = ["shared_memory"]


def files_with(*places: Path) -> list[Path]:
    """Returns the files that have the secret in them, whatever they belong to."""
    return [
        path
        for place in places
        for path in place.rglob("*")
        if path.is_file() and SECRET in path.read_bytes()
    ]


@pytest.mark.parametrize("copied", ["nothing", "all", "what was written over"])
def test_nothing_of_it_is_in_memory_or_in_a_copy(
    tmp_path: Path, shared_memory: Path, copied: str
) -> None:
    path = tmp_path / "store"
    with opened(path) as store:
        with written(store, "job") as (workspace, branch):
            put(branch, b"keep", noise(5_000, "keep"))
            workspace.make_branch("try", branch, ephemeral=True)
            trying = workspace.open_branch("try")
            put(trying, b"env", b"KEY=" + SECRET + noise(90_000, "tail"))
            put(trying, b"mine", noise(20_000, "mine"))
            if copied != "nothing":
                workspace.make_durable(trying)
            if copied == "what was written over":
                put(trying, b"env", noise(90_040, "other"))
                trying.reclaim()
        assert files_with(shared_memory, path) != []
        purge(store, "job", b"env")
        assert files_with(shared_memory, path) == []
        assert [
            one for one in check_directory(path, verify_data=True) if one.severity != "note"
        ] == []
        with written(store, "job", "try") as (workspace, trying):
            found = contents(trying)
            assert set(found[b"env"]) == {0}
            assert found[b"mine"] == noise(20_000, "mine")
            assert trying.is_ephemeral
            put(trying, b"more", b"in memory again")
            workspace.switch_head(BranchName("main"), BranchName("try"))
            assert contents(trying) == {**found, b"more": b"in memory again"}
    assert files_with(shared_memory, path) == []
