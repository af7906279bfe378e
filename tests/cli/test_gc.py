"""`pyi-gc`: plans, does, says; its exit codes."""

import json
import time
from pathlib import Path

import click
import pytest

from pyi_fs.cli import gc
from pyi_fs.engine import garbage
from tests.support.commands import call, run
from tests.support.engine_rig import noise, opened, put, written

NS = 1_000_000_000


@pytest.fixture
def filled(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with three snapshots of one hour, which is two days ago by the plan's clock."""
    with opened(store) as made, written(made, "a") as (workspace, branch):
        for index in range(3):
            put(branch, b"result", noise(200_000, str(index)))
            workspace.snapshot(branch)
    plan, carry_out = garbage.plan, garbage.carry_out
    later = time.time_ns() + 48 * 3600 * NS

    def planned(*arguments, **options):
        return plan(*arguments, **options, clock_ns=lambda: later)

    def carried_out(*arguments, **options):
        return carry_out(*arguments, **options, clock_ns=lambda: later)

    monkeypatch.setattr(garbage, "plan", planned)
    monkeypatch.setattr(garbage, "carry_out", carried_out)
    return store


def snapshots(path: Path) -> list[str]:
    with opened(path) as store, written(store, "a") as (workspace, _):
        return [snapshot.id.partition("-")[0] for snapshot in workspace.refs.ordered()]


def test_a_dry_run_prints_the_plan_and_changes_nothing(filled: Path) -> None:
    done = call(gc.command, "--dry-run", "--keep-bytes", "1k", name=gc.NAME)
    assert done.code == 1
    assert [line.partition("@")[0] for line in done.output.splitlines()] == ["delete a"] * 2
    assert "can be given back" in done.errors
    assert "the store stays" in done.errors
    assert snapshots(filled) == ["1", "2", "3"]


def test_a_run_does_what_it_said(filled: Path) -> None:
    done = call(gc.command, "--keep-bytes", "1k", "--json", name=gc.NAME)
    found = json.loads(done.output)
    assert found["done"]["snapshots"] == len(found["deletions"]) == 2
    assert found["done"]["freed_bytes"] == found["frees_bytes"]
    assert found["missing_bytes"] > 0
    assert snapshots(filled) == ["3"]


def test_only_the_workspaces_named_are_thinned(filled: Path) -> None:
    with opened(filled) as store, written(store, "b"):
        pass
    assert call(gc.command, "--keep-bytes", "1k", "b", name=gc.NAME).code == 1
    assert snapshots(filled) == ["1", "2", "3"]
    done = call(gc.command, "nobody", name=gc.NAME)
    assert (done.code, done.errors) == (1, "pyi-gc: no workspace 'nobody'\n")


def test_a_pinned_snapshot_stays(filled: Path) -> None:
    assert call(gc.command, "pin", "a", "1").output.startswith("1-")
    call(gc.command, "--keep-bytes", "1k")
    assert snapshots(filled) == ["1", "3"]
    assert call(gc.command, "unpin", "a", "1").output.startswith("1-")
    call(gc.command, "--keep-bytes", "1k")
    assert snapshots(filled) == ["3"]
    assert call(gc.command, "pin", "a", "1", name=gc.NAME).errors == "pyi-gc: no snapshot '1'\n"


def test_nothing_to_do_is_code_0(filled: Path) -> None:
    assert call(gc.command, "--keep-bytes", "1GB").code == 0


def test_a_size_is_understood_or_refused() -> None:
    size = gc.Size()
    assert [size.convert(text, None, None) for text in ("7", "1.5k", "20GB", "3 m")] == [
        *(7, 1500, 20 * 10**9, 3 * 10**6)
    ]
    with pytest.raises(click.BadParameter):
        size.convert("much", None, None)


@pytest.mark.slow
def test_it_is_a_command(store: Path) -> None:
    with opened(store):
        pass
    assert run("gc", "--dry-run").code == 0
    assert run("gc", "--keep-bytes", "much").code == 2
