"""Who is told of a directory, and for whom a change of it comes too soon."""

import pytest

from pyi_fs.fuse.told import NODES_MIN, Told, listing_of
from pyi_fs.ids import NodeId

D, OTHER = NodeId(5), NodeId(6)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr("pyi_fs.fuse.told.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def told(clock):
    return Told()


def note(told: Told, thread: int, node: NodeId = D) -> None:
    told.thread = thread
    told.note(node)


def has_changed(told: Told, thread: int, node: NodeId = D) -> bool:
    told.thread = thread
    return told.has_changed(node)


def test_who_was_told_itself_has_put_that_away(told):
    note(told, 1)
    note(told, 1)
    assert not has_changed(told, 1)


def test_a_change_by_another_thread_is_told_once(told):
    note(told, 1)
    assert not has_changed(told, 2, OTHER)
    assert has_changed(told, 2)
    assert not has_changed(told, 2)


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (1, 2, 1)])
def test_two_that_were_told_are_others_for_each_of_them(told, order):
    for changer in (1, 2):
        for thread in order:
            note(told, thread)
        assert has_changed(told, changer)


def test_an_unknown_thread_is_another_one_each_time(told):
    note(told, 0)
    assert has_changed(told, 0)
    note(told, 1)
    assert has_changed(told, 0)
    note(told, 0)
    assert has_changed(told, 1)
    assert not has_changed(told, 0)


def test_a_successor_does_not_know_whom_the_server_before_told(told, clock):
    told.succeed()
    assert has_changed(told, 1)
    clock[0] += 1.0
    assert has_changed(told, 1)
    assert not has_changed(told, 1)


def test_what_was_told_long_ago_is_forgotten_and_not_before(told, clock):
    def walk(base: int) -> None:
        for number in range(NODES_MIN + 1):
            note(told, 1, NodeId(base + number))

    note(told, 1)
    walk(10_000)
    assert has_changed(told, 2)
    note(told, 1)
    clock[0] += 1.0
    walk(20_000)
    # Of the generation before, and noted again by another one.
    note(told, 2)
    assert has_changed(told, 2)
    note(told, 1)
    for base in (30_000, 40_000):
        clock[0] += 1.0
        walk(base)
    assert not has_changed(told, 2)
    assert told.node_count <= 2 * (NODES_MIN + 1)


def test_a_listing_is_remembered_for_all_that_it_tells_of(told):
    note(told, 1, listing_of(D))
    for _ in range(2):
        told.thread = 2
        assert told.is_told_to_others(listing_of(D))
    told.thread = 1
    assert not told.is_told_to_others(listing_of(D))
    assert not has_changed(told, 2, D)
