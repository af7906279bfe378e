"""When Python looks for garbage."""

import gc
import weakref
from importlib import import_module

import pytest

from pyi_fs.cli.cycles import let_go, loading, settle


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


def test_what_a_session_had_is_freed_also_what_was_put_aside():
    class Part:
        pass

    parts = [Part(), Part()]
    parts[0].other, parts[1].other = parts[1], parts[0]  # type: ignore[attr-defined]
    ended = weakref.ref(parts[0])
    settle()
    del parts
    gc.collect()
    assert ended() is not None
    let_go()
    assert ended() is None
    assert gc.get_freeze_count() > 0
