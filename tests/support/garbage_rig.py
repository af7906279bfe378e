"""A store with garbage, collections at other times than now, for tests of the collector."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyi_fs import limits
from pyi_fs.engine import fsck_roots, garbage
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.retention import Policy
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from tests.support.engine_rig import blocks_below, noise, put, written

DAY_NS = limits.UNDO_WINDOW_SECONDS * 1_000_000_000
NOTHING_KEPT = Policy(0, ())


def soon() -> int:
    """When nothing is young any more, and everything can still be undone."""
    return time.time_ns() + 3600 * 1_000_000_000


def tomorrow() -> int:
    return time.time_ns() + 2 * DAY_NS


def seal_everything(store: Store) -> None:
    layers = all_layers(store.storage)
    seal(store, [segment for layer in layers for segment in store.layers.segments(layer)])


def collect(store: Store, clock_ns=tomorrow, **options) -> garbage.Freed:
    planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=clock_ns, **options)
    return garbage.carry_out(store, planned, clock_ns=clock_ns)


def bytes_held(path: Path) -> int:
    """Layers, and the files of packs: their 256 directories come and stay."""
    packs = sum(pack.stat().st_blocks * 512 for pack in (path / "packs").glob("*/*.pack"))
    return blocks_below(path / "layers") + packs


def rewritten_often(store: Store, name: str = "a", times: int = 4) -> None:
    """A job that rewrites one file, a snapshot each time; sealed with all of them."""
    with written(store, name) as (workspace, branch):
        put(branch, b"same", noise(200_000, "same"))
        for index in range(times):
            put(branch, b"d/result", noise(300_000, f"{name}{index}"))
            workspace.snapshot(branch)
    seal_everything(store)


def collect_soon(store: Store) -> garbage.Freed:
    """Collects what nobody wants, once that is permitted, and keeps no snapshot for its age."""
    planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=soon)
    return garbage.carry_out(store, planned, clock_ns=soon)


@pytest.fixture
def fsck_of_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was collected in two days is looked at in two days."""
    monkeypatch.setattr(fsck_roots, "time", SimpleNamespace(time_ns=tomorrow))
