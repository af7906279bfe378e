"""`pyi-gc`: plans, does, says; its exit codes."""

import json
import time
from pathlib import Path

import pytest

from pyi_fs.cli import gc
from pyi_fs.engine import collecting, garbage
from pyi_fs.engine.gc_settings import Settings, write_settings
from tests.support.commands import call, run
from tests.support.engine_rig import noise, opened, put, written
from tests.support.plain_rig import materialised, plain_paths, sealed

NS = 1_000_000_000


@pytest.fixture
def filled(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with three snapshots of one hour, which is two days ago by the plan's clock."""
    with opened(store) as made, written(made, "a") as (workspace, branch):
        for index in range(3):
            put(branch, b"result", noise(200_000, str(index)))
            workspace.snapshot(branch)
    plan, collect = garbage.plan, collecting.collect
    later = time.time_ns() + 48 * 3600 * NS

    def planned(*arguments, **options):
        return plan(*arguments, **options, clock_ns=lambda: later)

    def carried_out(*arguments, **options):
        return collect(*arguments, **options, clock_ns=lambda: later)

    monkeypatch.setattr(garbage, "plan", planned)
    monkeypatch.setattr("pyi_fs.cli.gc.collect", carried_out)
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
    assert (done.code, done.errors) == (1, "pyi-gc: no workspace 'nobody' (you have: a, b)\n")


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


def test_settings_are_set_shown_and_followed(filled: Path) -> None:
    done = call(gc.command, "--settings", name=gc.NAME)
    assert done.output.splitlines() == [
        *("automatic=on", "budget=80%", "free=5%", "plain=10%"),
        *("all=1d", "hourly=7d", "daily=30d", "weekly=ever"),
    ]
    assert done.errors == "pyi-gc: no collection yet\n"
    done = call(gc.command, "set", "automatic=off", "all=30d", name=gc.NAME)
    assert done.output.splitlines()[:3] == ["automatic=off", "budget=80%", "free=5%"]
    assert "all=30d" in done.output.splitlines()
    # Three of one hour, two days ago: one would stay by default.
    call(gc.command)
    assert snapshots(filled) == ["1", "2", "3"]
    done = call(gc.command, "set", "all=1h", "budget=1", name=gc.NAME)
    assert call(gc.command, name=gc.NAME).code == 1
    assert snapshots(filled) == ["3"]
    done = call(gc.command, "--settings", "--json", name=gc.NAME)
    found = json.loads(done.output)
    assert found["settings"]["budget_bytes"] == 1
    assert (found["last"]["reason"], found["last"]["snapshots"]) == ("asked for", 2)
    assert "asked for" in call(gc.command, "--settings", name=gc.NAME).errors


def test_a_setting_that_is_none_is_refused(filled: Path) -> None:
    done = call(gc.command, "set", "colour=red", name=gc.NAME)
    assert done.code == 2
    assert "no setting 'colour' (there are: automatic, budget," in done.errors
    (filled / "gc.settings").write_text("{")
    done = call(gc.command, "--dry-run", name=gc.NAME)
    assert done.code == 1
    assert "remove it for the defaults" in done.errors


@pytest.mark.slow
def test_it_is_a_command(store: Path) -> None:
    with opened(store):
        pass
    assert run("gc", "--dry-run").code == 0
    assert run("gc", "--keep-bytes", "much").code == 2


def test_plain_files_beyond_their_bound_go(store: Path) -> None:
    with opened(store) as made:
        inodes = sealed(made, (b"a", noise(300_000, "a")), (b"b", noise(300_000, "b")))
        first, second = (materialised(made, inode) for inode in inodes)
        write_settings(made.storage, Settings(free_percent=None, plain_bytes=500_000))
    dry = call(gc.command, "--dry-run", name=gc.NAME)
    assert dry.output.startswith(f"remove {first.path}: ")
    assert "of plain files can be given back" in dry.errors
    assert len(plain_paths(store)) == 2
    found = json.loads(call(gc.command, "--json", name=gc.NAME).output)
    assert [line.split()[1] for line in found["evictions"]] == [f"{first.path}:"]
    assert found["done"]["freed_bytes"] == found["frees_bytes"] >= 300_000
    assert plain_paths(store) == [store / second.path]
