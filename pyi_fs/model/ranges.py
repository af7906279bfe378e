"""Sets of bytes of one file or chunk, as half-open ranges: sorted, disjoint, none empty.

Immutable; touching ranges are joined, so equal sets are equal tuples.
"""

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]

NOTHING: Ranges = ()


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Returns all bytes of half-open ranges that come in any order and may overlap."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return tuple(found)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """Returns the bytes of `ranges` that are not in `others`."""
    found: list[tuple[int, int]] = []
    index = 0
    for start, end in ranges:
        while index < len(others) and others[index][1] <= start:
            index += 1
        position, following = start, index
        while following < len(others) and others[following][0] < end:
            if others[following][0] > position:
                found.append((position, others[following][0]))
            position = max(position, others[following][1])
            following += 1
        if position < end:
            found.append((position, end))
    return tuple(found)


def common(ranges: Ranges, others: Ranges) -> Ranges:
    """Returns the bytes that are in both."""
    return without(ranges, without(ranges, others))


def size(ranges: Ranges) -> int:
    """Returns how many bytes there are."""
    return sum(end - start for start, end in ranges)
