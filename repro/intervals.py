"""95 % intervals: of means by Student, or by Welch where nothing is paired; of medians by interpolated order statistics."""

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
    """The interval of the median, interpolated between the last two order statistics from either end that cover it with at least 95 % and
    the next two, whatever the distribution (Hettmansperger and Sheather 1986, Statistics & Probability Letters 4, 75-79). None for fewer
    than six values, of which no two cover it with 95 %.
    """
    ordered, n = sorted(values), len(values)
    tail, ways, beyond, whole = 0, 1, 1, 2**n
    outside = 2 / whole  # the chance that the median lies beyond the two values that have ``tail`` others on their outer side
    if outside > 1 - LEVEL:
        return None
    while True:
        ways = ways * (n - tail) // (tail + 1)  # of choosing the values on one side: a binomial coefficient, from the one before
        beyond += ways
        if (next_outside := 2 * beyond / whole) > 1 - LEVEL:
            break
        tail, outside = tail + 1, next_outside
    part = (1 - LEVEL - outside) / (next_outside - outside)
    inwards = (n - 1 - tail) * part / (tail + 1 + (n - 2 - 2 * tail) * part)
    low, high = ((1 - inwards) * of[tail] + inwards * of[tail + 1] for of in (ordered, ordered[::-1]))
    return Interval(low, high)


def half_width(values: Sequence[float]) -> float:
    """Half the width of the median's interval over the median; infinite where there is no interval."""
    interval = median_interval(values)
    return (interval.high - interval.low) / 2 / statistics.median(values) if interval else math.inf
