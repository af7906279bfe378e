"""Medians, spreads, intervals and turns of the bench."""

import pytest

from bench.measure import Results, Row, cliffs_delta, ratio_interval, summary, turns


def test_a_summary_has_median_and_spread_of_the_middle_half():
    found = summary([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (found.median, found.count) == (3.0, 5)
    assert found.spread == pytest.approx(2 / 3)


def test_two_samples_have_no_spread_and_none_no_summary():
    assert summary([1.0, 3.0]).spread == 0
    with pytest.raises(ValueError, match="no samples"):
        summary([])


def test_each_round_begins_with_another_peer():
    assert list(turns(["a", "b", "c"], 3)) == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert list(turns([], 3)) == []


def test_the_interval_holds_the_ratio_and_is_the_same_again():
    ours, theirs = [1.0, 1.1, 0.9, 1.0, 1.05], [2.0, 2.2, 1.9, 2.1, 2.0]
    ratio, low, high = ratio_interval(ours, theirs)
    assert ratio == 2.0
    assert 1.7 < low <= ratio <= high < 2.5
    assert ratio_interval(ours, theirs) == (ratio, low, high)


def test_delta_counts_pairs():
    assert cliffs_delta([1, 2], [3, 4]) == 1
    assert cliffs_delta([3, 4], [1, 2]) == -1
    assert cliffs_delta([1, 4], [2, 3]) == 0


def test_times_are_in_the_unit_of_their_row(monkeypatch):
    moments = iter([10.0, 10.5, 20.0, 20.5])
    monkeypatch.setattr("bench.measure.time.perf_counter", lambda: next(moments))
    results = Results()
    row, slow = Row("work", "what", "us"), Row("work", "job", "s")
    with results.time(row, "peer", per=10):
        pass
    with results.time(slow, "peer"):
        pass
    assert results.samples == {row: {"peer": [50_000.0]}, slow: {"peer": [0.5]}}
