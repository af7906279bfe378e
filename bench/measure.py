"""Samples, their medians and spreads, and ratios between peers.

Peers take turns within a round, and each round begins with another one, so that what disturbs the
machine for a while disturbs all of them alike; only ratios within one run are compared.
"""

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """One line of a report: what was done, in which unit, and which direction is good."""

    work: str
    what: str
    unit: str = "us"
    more_is_better: bool = False


@dataclass(frozen=True)
class Summary:
    """The middle of some samples and how far they lie apart.

    `spread` is the range from the first to the third quartile as a part of the median.
    """

    median: float
    spread: float
    count: int


@dataclass
class Results:
    """All samples of a run, and what was left out."""

    samples: dict[Row, dict[str, list[float]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, row: Row, peer: str, value: float) -> None:
        """Adds one sample."""
        self.samples.setdefault(row, {}).setdefault(peer, []).append(value)

    @contextmanager
    def time(self, row: Row, peer: str, per: int = 1) -> Iterator[None]:
        """Adds how long the body took, divided by `per`, in the row's unit: us, ms or s."""
        with stopwatch() as watch:
            yield
        self.add(row, peer, watch.seconds * {"us": 1e6, "ms": 1e3, "s": 1.0}[row.unit] / per)

    def skip(self, sentence: str) -> None:
        """Notes what was not measured and why, once."""
        if sentence not in self.skipped:
            self.skipped.append(sentence)

    def works(self) -> list[str]:
        """Returns the works that have rows, in the order in which they were first measured."""
        return list(dict.fromkeys(row.work for row in self.samples))

    def rows(self, work: str) -> list[Row]:
        """Returns the rows of a work."""
        return [row for row in self.samples if row.work == work]

    def peers(self, work: str) -> list[str]:
        """Returns the peers that have a sample in a work."""
        rows = self.rows(work)
        return list(dict.fromkeys(peer for row in rows for peer in self.samples[row]))


def summary(values: Sequence[float]) -> Summary:
    """Returns median, spread and number of samples; raises `ValueError` without any."""
    if not values:
        raise ValueError("no samples")
    median = statistics.median(values)
    if len(values) < 3 or not median:
        return Summary(median, 0.0, len(values))
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, (third - first) / abs(median), len(values))


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Returns the ratio of the medians theirs / ours and its 95 % bootstrap interval.

    Efron, "Bootstrap methods: another look at the jackknife" (1979), percentile form; the seed is
    fixed, so the same samples give the same interval.
    """
    draw = random.Random(1)
    ratios = []
    for _ in range(RESAMPLES):
        a = statistics.median(draw.choices(ours, k=len(ours)))
        b = statistics.median(draw.choices(theirs, k=len(theirs)))
        ratios.append(b / a if a else float("inf"))
    ratios.sort()
    middle = statistics.median(ours)
    ratio = statistics.median(theirs) / middle if middle else float("inf")
    return ratio, ratios[int(0.025 * RESAMPLES)], ratios[int(0.975 * RESAMPLES)]


def cliffs_delta(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Returns how often a sample of ours is below one of theirs, minus how often above: -1 to 1.

    Cliff, "Dominance statistics" (1993): an effect size that supposes no distribution.
    """
    below = sum(a < b for a in ours for b in theirs)
    above = sum(a > b for a in ours for b in theirs)
    return (below - above) / (len(ours) * len(theirs))


def turns(peers: Sequence[str], count: int) -> Iterator[str]:
    """Yields each peer `count` times: round by round, each round beginning with the next one."""
    for index in range(count):
        first = index % len(peers) if peers else 0
        yield from [*peers[first:], *peers[:first]]


class Stopwatch:
    """How long the body of `stopwatch()` took; set when it ended."""

    seconds = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Times the body."""
    watch = Stopwatch()
    start = time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start
