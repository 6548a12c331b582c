from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.intervals import Interval, half_width, median_interval


@pytest.mark.parametrize(
    ("n", "tail", "inwards"),
    [(6, 1, 5 / 14), (7, 1, 11 / 15), (8, 1, 0.9356), (9, 2, 0.2279), (10, 2, 73 / 111), (20, 6, 0.2352), (100, 40, 0.7632)],
)
def test_interval_of_a_median_lies_between_the_order_statistics_of_the_tables(n: int, tail: int, inwards: float) -> None:
    interval = median_interval(range(n, 0, -1))
    assert interval is not None
    assert interval.low == pytest.approx(tail + inwards, abs=0.0001)
    assert interval.low + interval.high == pytest.approx(n + 1), "as far from either end"


@pytest.mark.parametrize("n", range(6))
def test_fewer_than_six_values_bound_no_median(n: int) -> None:
    assert median_interval(range(n)) is None  # the smallest and the largest of five cover it with 93.75 %
    assert half_width([1.0] * n) == math.inf


@given(st.integers(6, 200))
def test_interval_of_a_median_begins_where_95_percent_are_covered_and_ends_before_they_are_not(n: int) -> None:
    interval = median_interval(range(n))
    assert interval is not None
    tail = int(interval.low)
    assert interval.high == pytest.approx(n - 1 - interval.low)

    def outside(k: int) -> float:
        return float(2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)

    assert outside(tail) <= 0.05 < outside(tail + 1)


@pytest.mark.parametrize("n", [6, 7, 8, 11, 16, 40])
@pytest.mark.parametrize("distribution", ["normal", "laplace", "uniform", "gumbel"])
def test_the_interval_covers_the_median_with_95_percent(n: int, distribution: str) -> None:
    generator, rounds = np.random.default_rng(0), 4_000
    median = -math.log(math.log(2)) if distribution == "gumbel" else 0.5 if distribution == "uniform" else 0.0
    found = [median_interval(list(values)) for values in getattr(generator, distribution)(size=(rounds, n))]
    covered = sum(interval is not None and interval.low <= median <= interval.high for interval in found) / rounds
    assert 0.93 < covered < 0.965


def test_the_half_width_is_relative_to_the_median() -> None:
    values = [9.0, 10.0, 11.0] * 4
    interval = median_interval(values)
    assert interval == Interval(9.0, 11.0)
    assert half_width(values) == pytest.approx(0.1)
