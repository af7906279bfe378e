"""When Python looks for garbage."""

import gc
from importlib import import_module

import pytest

from pyi_fs.cli.cycles import loading, settle


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.enable()
    gc.set_threshold(*before)


def test_nothing_is_looked_for_while_modules_are_loaded_also_if_that_fails():
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ModuleNotFoundError), loading():
        import_module("pyi_fs.no_such_module")
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_what_a_server_began_with_is_never_looked_at_and_what_it_leaves_is():
    kept: list[list[object]] = [[] for _ in range(1000)]
    settle()
    assert gc.get_threshold()[0] > 700
    assert not any(found is kept for found in gc.get_objects())
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
