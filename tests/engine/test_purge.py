"""The plan of a purge: what it names, that it changes nothing, and when it refuses."""

from pathlib import Path

import pytest

from pyi_fs.engine.purge import plan, without_bytes
from pyi_fs.engine.store import Store
from pyi_fs.errors import CorruptError, NotFoundError
from pyi_fs.store import layout
from pyi_fs.store.overwriting import OVERWRITTEN_SUFFIX
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.purge_rig import every_byte, purge, seal_all_snapshots


def test_a_plan_names_everything_and_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            put(branch, b"env", noise(1000, "env"))
            layer = branch.position.layer
            workspace.snapshot(branch, name="first")
        seal_everything(store)
        seal_all_snapshots(store, "job")
        before = _bytes(store)
        planned = plan(store, "job", [b"env"])
        assert _bytes(store) == before
        (seen,) = planned.sightings
        assert planned.roots == (seen,)
        assert planned.journals == {layer: 1}
        assert [layout.seal_map(one) for one in planned.maps] == [
            f"{layout.layer_directory(layer)}/map-000000"
        ]
        assert len(planned.chunks) == 1
        assert planned.touched == ("job",)
        lines = planned.lines()
        assert lines[0] == f"in job@{seen.snapshot}: env"
        assert f"rewrite {layout.journal(layer)}: 1 records" in lines
        assert not planned.is_done


def _bytes(store: Store) -> dict[str, bytes]:
    """All but the shared memory of SQLite's readers."""
    return {name: data for name, data in every_byte(store).items() if not name.endswith("-shm")}


def test_what_is_zeros_already_needs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", noise(200_000, "env"))
        purge(store, "job", b"env")
        planned = plan(store, "job", [b"env"])
        assert planned.is_done
        assert planned.lines() == []


def test_what_an_interrupted_purge_left_is_in_the_plan(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", b"x")
            layer = branch.position.layer
        purge(store, "job", b"env")
        path = f"{layout.layer_directory(layer)}/scratch-000000{OVERWRITTEN_SUFFIX}"
        store.storage.write_atomic(path, [b"secret"])
        planned = plan(store, "job", [b"env"])
        assert planned.leftovers == (path,)
        assert planned.lines() == [f"remove {path}: left by an interrupted purge"]
        purge(store, "job", b"env")
        assert not store.storage.exists(path)


def test_damage_that_may_hide_something_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (_, branch):
            put(branch, b"env", b"x")
            layer = branch.position.layer
        with written(store, "else") as (_, branch):
            put(branch, b"f", b"x")
            other = branch.position.layer
        path = tmp_path / "store" / layout.journal(other)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptError):
            plan(store, "job", [b"env"])
        assert layer != other


def test_no_such_workspace(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, pytest.raises(NotFoundError, match="'x'"):
        plan(store, "x", [b"env"])


def test_zeros_but_for_what_stays() -> None:
    assert without_bytes(b"abcdef", ((1, 2), (4, 9))) == b"\0b\0\0ef"
    assert without_bytes(b"abc", ()) == bytes(3)
