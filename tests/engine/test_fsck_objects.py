"""The tree objects of sealed snapshots are read."""

from pathlib import Path

from pyi_fs.engine.content import content_root, seal_snapshots
from pyi_fs.engine.fsck import check_store
from pyi_fs.model.operation import SealSnapshot
from pyi_fs.store.packs import list_packs, read_pack_index
from tests.support.damage import errors
from tests.support.engine_rig import noise, opened, put, written


def test_content_roots_are_looked_at(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/f", noise(9_000))
            taken = workspace.snapshot(branch, name="kept").snapshot
            root = content_root(store.chunks, workspace.reader, branch.tree)
            store.chunks.flush()
            workspace.log.append(lambda _: SealSnapshot(taken.id, root))
            workspace.snapshot(branch)
        assert check_store(store, verify_data=True) == []
        (pack,) = (tmp_path / "store" / "packs").glob("*/*.pack")
        data = pack.read_bytes()
        pack.write_bytes(data[:100] + b"\0" + data[101:])
        found = errors(check_store(store, verify_data=True))
        assert {one.kind for one in found} == {"pack", "object"}
        assert [one.paths for one in found if one.kind == "object"] == [(b"d",)]
        pack.unlink()
        found = errors(check_store(store, verify_data=False))
        assert [one.refs for one in found if one.kind == "object"] == [(f"a@{taken.id}",)]


def test_damage_is_named_in_every_snapshot_that_has_it(tmp_path: Path):
    """Objects that snapshots share are read once, and named for all of them, by all their paths."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/f", noise(9_000))
            taken = [workspace.snapshot(branch, name="one").snapshot]
            put(branch, b"e/f", noise(9_000))
            taken.append(workspace.snapshot(branch, name="two").snapshot)
            put(branch, b"other", noise(500))
            taken.append(workspace.snapshot(branch, name="three").snapshot)
        seal_snapshots(store, workspace.name, [one.id for one in taken])
        (pack,) = sorted((tmp_path / "store" / "packs").glob("*/*.pack"), key=_size)[-1:]
        data = pack.read_bytes()
        pack.write_bytes(data[:100] + b"\0" + data[101:])
        (found,) = [one for one in check_store(store, verify_data=True) if one.kind == "object"]
        assert set(found.paths) == {b"d", b"e"}
        assert set(found.refs) == {f"a@{one.id}" for one in taken}


def test_the_content_of_files_is_looked_for_in_layers_alone(tmp_path: Path):
    """What objects name of files is in no pack: the scratch has it."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/f", noise(90_000))
            taken = workspace.snapshot(branch, name="one").snapshot
        seal_snapshots(store, workspace.name, [taken.id])
        assert check_store(store, verify_data=True) == []
        (pack,) = list_packs(store.storage)
        # The root, `d`.
        assert len(read_pack_index(store.storage, pack)) == 2


def _size(path: Path) -> int:
    return path.stat().st_size
