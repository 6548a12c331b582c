"""95 % intervals: of means by Student, or by Welch where nothing is paired; of medians by order statistics."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A two-sided 95 % interval."""

    low: float
    high: float


def paired_interval(differences: Sequence[float]) -> Interval:
    """Student's two-sided interval of the mean of at least two differences."""
    half = _half((1 + LEVEL) / 2, differences)
    mean = statistics.fmean(differences)
    return Interval(mean - half, mean + half)


def upper_end(differences: Sequence[float]) -> float:
    """The upper end of Student's one-sided interval of the mean of at least two differences."""
    return statistics.fmean(differences) + _half(LEVEL, differences)


def welch_interval(groups: Sequence[tuple[int, Sequence[float]]]) -> Interval:
    """The two-sided interval of a sum of group means with signs, by Welch and Satterthwaite: no pairs, no equal variances.

    Each group has at least two values.
    """
    mean = sum(sign * statistics.fmean(values) for sign, values in groups)
    parts = [(statistics.variance(values) / len(values), len(values) - 1) for _, values in groups]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Interval(mean, mean)
    freedom = variance**2 / sum(part**2 / count for part, count in parts)
    half = _quantile((1 + LEVEL) / 2, freedom) * math.sqrt(variance)
    return Interval(mean - half, mean + half)


def _half(probability: float, differences: Sequence[float]) -> float:
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return _quantile(probability, len(differences) - 1) * error


def _quantile(probability: float, freedom: float) -> float:
    from scipy.stats import t  # takes half a second, which only a judgement is worth

    return float(t.ppf(probability, freedom))


def median_interval(values: Sequence[float]) -> Interval | None:
    """The interval of the median between two order statistics that covers it with at least 95 %, whatever the distribution; None for
    fewer than six values, of which no two do."""
    ordered, n = sorted(values), len(values)
    below, tail = 0.0, -1
    for k in range(n // 2):  # the chance that at most k of n values lie on one side of the median
        below += math.comb(n, k) / 2**n
        if 2 * below > 1 - LEVEL:
            break
        tail = k
    return Interval(ordered[tail], ordered[n - 1 - tail]) if tail >= 0 else None
