"""A layer that no log names is left alone as long as somebody may be about to name it."""

import time
from pathlib import Path

import pytest

from pyi_fs.engine.unlogged import PIN_GUARD_SECONDS, Guard, header_of, read_pins
from pyi_fs.store import layout
from tests.support.engine_rig import opened, put, written


def test_a_fork_is_waited_for_as_long_as_its_pin_is_young(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
            layer = branch.position.layer
        known = frozenset([layer])
        assert Guard(store, known, time.time_ns()).reason(layer) is None
        store.layers.pin(layer, "a 10")
        # That workspace is there: its fork is over.
        assert Guard(store, known, time.time_ns()).reason(layer) is None
        store.layers.pin(layer, "fork 10")
        assert read_pins(store.storage, layer) == "a 10\nfork 10\n"
        reason = Guard(store, known, time.time_ns()).reason(layer)
        assert reason == "a fork of it may be on its way"
        later = time.time_ns() + (PIN_GUARD_SECONDS + 60) * 1_000_000_000
        assert Guard(store, known, later).reason(layer) is None


@pytest.mark.parametrize("line", ["\0 1", "../workspaces/a 1", "/ 1", "x" * 5000, " 1"])
def test_a_pin_that_names_no_workspace_is_waited_for_like_one(tmp_path: Path, line: str):
    """Damaged, or written by somebody else; never a path, and never another exception."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
            layer = branch.position.layer
        store.layers.pin(layer, line)
        now = time.time_ns()
        reason = Guard(store, frozenset([layer]), now).reason(layer)
        assert reason == "a fork of it may be on its way"
        later = now + (PIN_GUARD_SECONDS + 60) * 1_000_000_000
        assert Guard(store, frozenset([layer]), later).reason(layer) is None


def test_a_clock_that_went_back_keeps_everything(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        layer = store.layers.new_directory()
        reason = Guard(store, frozenset(), 0).reason(layer)
        assert reason == "a workspace may be about to begin with it"


def test_a_layer_whose_header_is_damaged_is_never_taken(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            layer = branch.position.layer
        journal = tmp_path / "store" / layout.journal(layer)
        data = bytearray(journal.read_bytes())
        data[12] ^= 1
        journal.write_bytes(data)
        assert header_of(store, layer) is None
        guard = Guard(store, frozenset(), time.time_ns() << 1)
        assert guard.reason(layer) == "its header cannot be read"
        assert not guard.is_readable(layer)
