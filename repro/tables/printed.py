"""What a printed number can distinguish: a half-open interval.

``138`` (millions) is 137.5 to 138.5, ``0.27M`` is 0.265 to 0.275 million. Zeros that end an integer without a
decimal point are not significant: ``60 million`` is 55 to 65. A claim that gives a reason in ``exact`` counts
all its digits. ``no more than 1%`` is a bound and holds up to and including it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
}  # fmt: skip
SUFFIXES = {
    "": 1, "%": 1, "C^2": 1, "k": 10**3, "M": 10**6, "G": 10**9, "x10^9": 10**9,
    " thousand": 10**3, " million": 10**6, " billion": 10**9,
}  # fmt: skip
_NUMBER = re.compile(r"(?P<bound>no more than )?(?P<whole>[0-9]{1,3}(,[0-9]{3}){1,4}|[0-9]{1,15})(\.(?P<part>[0-9]{1,9}))?(?P<suffix>.*)")


@dataclass(frozen=True, slots=True)
class Interval:
    """``low <= value < high``, or ``<= high`` where the print is a bound."""

    low: Fraction
    high: Fraction
    closed: bool = False

    def __contains__(self, value: int | Fraction) -> bool:
        return self.low <= value and (value <= self.high if self.closed else value < self.high)


def interval(printed: str, *, scale: str = "", exact: bool = False) -> Interval:
    """The values that print as ``printed``, in units of one (``0.27M`` -> 265,000 to 275,000).

    ``scale`` is the word in the table's head ("million") where the number itself doesn't carry it.
    Raises ValueError where no number can be read.
    """
    factor = SUFFIXES[f" {scale}" if scale else ""]
    if printed in WORDS:
        return _around(Fraction(WORDS[printed] * factor), Fraction(factor))
    text = printed.replace("\N{MULTIPLICATION SIGN}", "x")
    match = _NUMBER.fullmatch(text)
    if not match or match["suffix"] not in SUFFIXES:
        raise ValueError(f"a number such as '138', '0.27M', '60 million', '1.8x10^9', '81%' or 'thirteen', not {printed!r}")
    if scale and match["suffix"]:
        raise ValueError(f"a number without {match['suffix'].strip()!r}, since 'scale' says {scale!r}")
    factor *= SUFFIXES[match["suffix"]]
    digits, part = match["whole"].replace(",", ""), match["part"] or ""
    value = Fraction(int(digits + part), 10 ** len(part))
    if match["bound"]:
        return Interval(Fraction(0), value * factor, closed=True)
    zeros = 0 if part or exact or not int(digits) else len(digits) - len(digits.rstrip("0"))
    return _around(value * factor, Fraction(10**zeros, 10 ** len(part)) * factor)


def _around(value: Fraction, step: Fraction) -> Interval:
    return Interval(value - step / 2, value + step / 2)
