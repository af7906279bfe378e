"""Lookup counts: what a dictionary would say, in a fraction of its memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.fuse.lookups import LookupCounts
from pyi_fs.ids import NodeId

# Neighbours of pages' edges, in two views.
NODES = st.sampled_from(
    [NodeId(node) for node in (1, 2, 1023, 1024, 1025, (1 << 40) + 1, (1 << 40) + 1024)]
)


@given(st.lists(st.tuples(NODES, st.integers(-3, 1))))
def test_counts_are_those_of_a_dictionary(steps):
    counts, model = LookupCounts(), dict[int, int]()
    for node, change in steps:
        if change > 0:
            counts.add(node)
            model[node] = model.get(node, 0) + 1
        elif change < 0:
            was_known = node in model
            left = max(model.pop(node, 0) + change, 0)
            assert counts.drop(node, -change) == (was_known and left == 0)
            if left:
                model[node] = left
        assert (node in counts) == (node in model)
    assert sorted(counts.between(0, 1 << 39)) == sorted(n for n in model if n < 1 << 39)
    assert sorted(counts.between(1 << 40, 2 << 40)) == sorted(n for n in model if n > 1 << 39)


@given(st.lists(NODES), st.lists(NODES))
def test_those_of_a_listing_are_counted_as_one_by_one(first, second):
    at_once, singly = LookupCounts(), LookupCounts()
    for listed in (first, second):
        at_once.add_all(listed)
        for node in listed:
            singly.add(node)
    for node in sorted({*first, *second}):
        times = (first + second).count(node)
        assert not times > 1 or not at_once.drop(node, times - 1)
        assert at_once.drop(node, 1)
    for node in first + second:
        singly.drop(node, 1)
    # Pages go with their last count in both.
    assert at_once._pages == singly._pages == {}  # noqa: SLF001


def test_a_count_beyond_a_word_goes_on():
    counts, node = LookupCounts(), NodeId(5)
    counts.add(node)
    counts._pages[0][5] = (1 << 32) - 1  # noqa: SLF001 - four thousand million lookups earlier
    counts.add(node)
    counts.add_all([node])
    assert not counts.drop(node, 3)
    assert node in counts
    assert counts.drop(node, (1 << 32) - 2)
    assert node not in counts


def test_200_000_known_nodes_take_a_megabyte():
    counts = LookupCounts()
    tracemalloc.start()
    for node in range(1, 200_001):
        counts.add(NodeId(node))
    size, _ = tracemalloc.get_traced_memory()
    for node in range(1, 200_001):
        counts.drop(NodeId(node), 1)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1_000_000
    assert after < 50_000
