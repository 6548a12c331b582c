from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.intervals import Interval, median_interval


@pytest.mark.parametrize(
    ("n", "low", "high"),
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (11, 2, 10), (12, 3, 10), (20, 6, 15), (30, 10, 21), (100, 40, 61)],
)
def test_interval_of_a_median_lies_between_the_order_statistics_of_the_tables(n: int, low: int, high: int) -> None:
    assert median_interval(range(n, 0, -1)) == Interval(low, high)


@pytest.mark.parametrize("n", range(6))
def test_fewer_than_six_values_bound_no_median(n: int) -> None:
    assert median_interval(range(n)) is None  # the smallest and the largest of five cover it with 93.75 %


@given(st.integers(6, 200))
def test_interval_of_a_median_covers_at_least_95_percent_and_the_next_one_in_does_not(n: int) -> None:
    interval = median_interval(range(n))
    assert interval is not None
    tail = int(interval.low)
    assert interval.high == n - 1 - tail

    def outside(k: int) -> float:
        return float(2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)

    assert outside(tail) <= 0.05 < outside(tail + 1)
