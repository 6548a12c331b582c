"""A number as somebody typed it: what it can distinguish when it was rounded, and when it was cut off."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from repro.errors import ReproError
from repro.tables import Interval, interval

#: Letters that a number may end in -> power of ten.
LETTERS = {"k": 3, "m": 6, "g": 9, "b": 9, "t": 12}
#: A number below this, without a letter, is in 10^9.
SMALLEST_WRITTEN_OUT = 1000
#: No network of the papers comes near it.
LARGEST = 10**15
_FORM = re.compile(r"(?P<mantissa>[0-9][0-9,]*(?:\.[0-9]+)?)(?:[eE]\+?(?P<exponent>[0-9]{1,2})|(?P<letter>[kKmMgGbBtT]))?")


@dataclass(frozen=True, slots=True)
class Typed:
    """A number of operations at the precision it was typed with.

    ``number`` and ``step`` (one unit of its last significant digit) are in units of one; ``power`` is the power of ten that it
    is written in: 9 for ``4.14e9``, 0 for a number that is written out.
    """

    text: str
    number: Fraction
    step: Fraction
    power: int

    def interval(self, *, binary: bool = False, cut_off: bool = False) -> Interval:
        """The counts that are written so: divided by 2^30 rather than 10^9 (2^20 for 10^6), cut off rather than rounded."""
        low = self.number if cut_off else self.number - self.step / 2
        unit = Fraction(self.divisor(binary=binary), 10**self.power)
        return Interval(low * unit, (low + self.step) * unit)

    def divisor(self, *, binary: bool = False) -> int:
        """What a count is divided by before it is written."""
        return int(2 ** (10 * self.power // 3)) if binary else int(10**self.power)

    def write(self, count: int, *, binary: bool = False, cut_off: bool = False) -> str:
        """A count in the typed form: ``4.14 x 10^9``."""
        steps = Fraction(count, self.divisor(binary=binary)) / (self.step / 10**self.power)
        last = math.floor(steps if cut_off else steps + Fraction(1, 2)) * self.step / 10**self.power
        return f"{Decimal(last.numerator) / last.denominator:,.{self.decimals}f}" + self.unit(binary=binary)

    def unit(self, *, binary: bool = False) -> str:
        """What follows the digits: `` x 10^9``, `` x 2^30``, or nothing where the number is written out."""
        if not self.power:
            return ""
        return f" x 2^{10 * self.power // 3}" if binary else f" x 10^{self.power}"

    @property
    def decimals(self) -> int:
        """Digits behind the point, in its own unit."""
        step, digits = self.step / 10**self.power, 0
        while step < 1:
            step, digits = step * 10, digits + 1
        return digits


def read_value(text: str) -> Typed:
    """Reads ``4.14e9``, ``4.14``, ``4.1G``, ``15.3B`` or ``4,089,184,256``. Raises ReproError where it can't.

    A number below 1,000 without a letter is in 10^9. Zeros that end an integer are not significant, as in the papers' claims.
    """
    wrong = ReproError(
        f"value {text[:40]!r}: expected a number of operations above 0 and below 10^15; write it as in the paper, "
        "for example 4.14e9, 4.14 (in 10^9), 724M or 4,089,184,256"
    )
    match = _FORM.fullmatch(text.strip())
    if not match:
        raise wrong
    try:
        printed = interval(match["mantissa"])
    except ValueError:
        raise wrong from None
    shift = LETTERS[match["letter"].lower()] if match["letter"] else int(match["exponent"] or 0)
    number, step = (printed.low + printed.high) / 2 * 10**shift, (printed.high - printed.low) * 10**shift
    power = shift if match["letter"] else shift // 3 * 3
    if not match["letter"] and number < SMALLEST_WRITTEN_OUT:
        number, step, power = number * 10**9, step * 10**9, 9
    if not 0 < number < LARGEST:
        raise wrong
    return Typed(text.strip(), number, step, power)
