"""Packs and index are compared, and damage of a chunk is named with who needs it."""

import os
from pathlib import Path

from pyi_fs.engine.fsck import check_directory, check_store
from pyi_fs.engine.sealing import seal
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex
from tests.support.damage import build, errors, paths_of
from tests.support.engine_rig import noise, opened, put, written


def test_a_damaged_chunk_is_named_with_the_files_that_need_it(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"hit", noise(9_000, "hit"))
            put(branch, b"spared", noise(9_000, "spared"))
            segments = store.layers.segments(branch.position.layer)
        seal(store, segments)
        (pack,) = (tmp_path / "store" / "packs").glob("*/*.pack")
        data = bytearray(pack.read_bytes())
        data[200] ^= 1
        pack.write_bytes(data)
        found = check_store(store, verify_data=True)
        assert {finding.kind for finding in found} == {"pack", "map", "data"}
        assert [finding.paths for finding in found if finding.kind == "data"] == [(b"hit",)]
        assert [finding.refs for finding in found if finding.kind == "data"] == [("a/main",)]
        assert not errors(check_store(store, verify_data=False))


def test_a_store_whose_index_cannot_be_opened_is_looked_at_all_the_same(tmp_path: Path):
    build(tmp_path / "store")
    (tmp_path / "store" / "index.sqlite").write_bytes(b"no database" * 1000)
    for verify_data in (False, True):
        (finding,) = errors(check_directory(tmp_path / "store", verify_data=verify_data))
        assert finding.kind == "index"


def test_a_pack_the_index_does_not_know_is_found(tmp_path: Path):
    build(tmp_path / "store")
    (tmp_path / "store" / "index.sqlite").unlink()
    ChunkIndex(DirectoryStorage(tmp_path / "store")).close()
    (pack,) = (tmp_path / "store" / "packs").glob("*/*.pack")
    assert b"d/sealed" in paths_of(errors(check_directory(tmp_path / "store", verify_data=False)))
    os.utime(pack, (1, 1))
    found = check_directory(tmp_path / "store", verify_data=False)
    assert [one.kind for one in found if one.severity == "warning"] == ["index"]
    with opened(tmp_path / "store") as store:
        store.chunks.reconcile()
        assert check_store(store, verify_data=True) == []
