"""What a damaged pack lost of sealed snapshots is stored again from their trees."""

from pathlib import Path

import pytest

from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.repair import repair
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.store.packs import list_packs, pack_path, read_pack_index
from tests.support.engine_rig import noise, opened, put, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two sealed snapshots whose bytes are in scratch, too."""
    path = tmp_path / "store"
    with opened(path) as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/f", noise(50_000))
            one = workspace.snapshot(branch, name="one").snapshot
            put(branch, b"d/g", noise(3_000))
            two = workspace.snapshot(branch, name="two").snapshot
        seal_snapshots(store, workspace.name, [one.id, two.id])
    return path


def damage(store: Store, *, all_of_it: bool) -> list[Path]:
    """Flips a bit in the first entry of each pack, or in all."""
    found = []
    for pack in list_packs(store.storage):
        file = store.path / pack_path(pack)
        data = bytearray(file.read_bytes())
        entries = read_pack_index(store.storage, pack)
        for entry in entries if all_of_it else entries[:1]:
            data[entry.end - 1] ^= 1
        file.write_bytes(data)
        found.append(file)
    return found


@pytest.mark.parametrize("all_of_it", [False, True])
def test_what_trees_still_have_is_stored_again(path: Path, all_of_it: bool) -> None:
    with opened(path) as store:
        packs = damage(store, all_of_it=all_of_it)
    assert check_directory(path, verify_data=True) != []
    done = [step.file for step in repair(path)]
    assert "content of a@2" in "".join(done) or "content of a@1" in "".join(done)
    assert check_directory(path, verify_data=True) == []
    # What was damaged is not kept beside: nothing of it is wanted that is not elsewhere.
    assert not [pack for pack in packs if pack.with_suffix(".damaged").exists()]
    assert list(repair(path)) == []


def test_what_nobody_has_any_more_is_left_for_a_check_to_name(path: Path) -> None:
    """The scratch is sealed: the chunks of the snapshots are the only copy."""
    with opened(path) as store:
        with written(store, "a") as (_, branch):
            segments = store.layers.segments(branch.position.layer)
        seal(store, segments)
        packs = damage(store, all_of_it=True)
    list(repair(path))
    findings = check_directory(path, verify_data=True)
    assert any(b"d/f" in one.paths for one in findings)
    assert [pack for pack in packs if pack.with_suffix(".damaged").exists()]
