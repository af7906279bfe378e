"""Sets of ranges behave as sets of their numbers do."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.model.ranges import NOTHING, common, size, union, without

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def numbers(ranges) -> set[int]:
    return {number for start, end in ranges for number in range(start, end)}


@given(RANGES, RANGES)
def test_they_are_sets(some, others):
    left, right = union(some), union(others)
    assert numbers(left) == numbers(some)
    assert numbers(without(left, right)) == numbers(left) - numbers(right)
    assert numbers(common(left, right)) == numbers(left) & numbers(right)
    assert size(left) == len(numbers(left))


@given(RANGES, RANGES)
def test_equal_sets_are_equal_tuples(some, others):
    left, right = union(some), union(others)
    for found in (left, without(left, right), common(left, right)):
        assert found == union(found)
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(found))


def test_what_touches_is_joined_and_nothing_is_empty():
    assert union([(3, 5), (0, 3), (9, 9)]) == ((0, 5),)
    assert without(((0, 5),), ((0, 5),)) == NOTHING
