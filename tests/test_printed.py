"""Printed precision: the values that a printed number can't be told from, as exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.tables import Interval, interval
from repro.tables.printed import SUFFIXES, WORDS


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [
        ("138", "137.5", "138.5"),
        ("0.27M", "265000", "275000"),
        ("0.46M", "455000", "465000"),
        ("1.7M", "1650000", "1750000"),
        ("19.4M", "19350000", "19450000"),
        ("60 million", "55000000", "65000000"),
        ("650,000", "645000", "655000"),
        ("60,000", "55000", "65000"),
        ("1,516", "1515.5", "1516.5"),
        ("4096", "4095.5", "4096.5"),
        ("1000", "500", "1500"),
        ("100", "50", "150"),
        ("19.60 billion", "19595000000", "19605000000"),
        ("19.6 billion", "19550000000", "19650000000"),
        ("1.8x10^9", "1750000000", "1850000000"),
        ("11.3x10^9", "11250000000", "11350000000"),
        ("3.6\N{MULTIPLICATION SIGN}10^9", "3550000000", "3650000000"),
        ("4.1G", "4050000000", "4150000000"),
        ("64k", "63500", "64500"),
        ("27C^2", "26.5", "27.5"),
        ("81%", "80.5", "81.5"),
        ("0.2%", "0.15", "0.25"),
        ("7.0", "6.95", "7.05"),
        ("10.0", "9.95", "10.05"),
        ("0.8", "0.75", "0.85"),
        ("one", "0.5", "1.5"),
        ("ten", "9.5", "10.5"),
        ("thirteen", "12.5", "13.5"),
        ("0", "-0.5", "0.5"),
    ],
)
def test_a_printed_number_stands_for_what_it_can_be_told_from(printed: str, low: str, high: str) -> None:
    assert interval(printed) == Interval(Fraction(low), Fraction(high))


def test_words_count_from_one_to_sixteen() -> None:
    assert list(WORDS) == [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
    ]  # fmt: skip
    for number, word in enumerate(WORDS, start=1):
        assert interval(word) == Interval(Fraction(2 * number - 1, 2), Fraction(2 * number + 1, 2))


@pytest.mark.parametrize(
    ("printed", "scale", "low", "high"),
    [
        ("133", "million", 132_500_000, 133_500_000),
        ("401", "thousand", 400_500, 401_500),
        ("1.8", "billion", 1_750_000_000, 1_850_000_000),
        ("60", "million", 55_000_000, 65_000_000),
        ("two", "million", 1_500_000, 2_500_000),
    ],
)
def test_the_scale_in_the_head_of_a_table_counts(printed: str, scale: str, low: int, high: int) -> None:
    assert interval(printed, scale=scale) == Interval(Fraction(low), Fraction(high))


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [("60,000", "59999.5", "60000.5"), ("290,400", "290399.5", "290400.5"), ("50", "49.5", "50.5"), ("60 million", "59500000", "60500000")],
)
def test_an_exact_claim_counts_its_zeros(printed: str, low: str, high: str) -> None:
    assert interval(printed, exact=True) == Interval(Fraction(low), Fraction(high))


@pytest.mark.parametrize(
    ("printed", "value", "inside"),
    [
        ("133 million", 132_499_999, False),
        ("133 million", 132_500_000, True),
        ("133 million", 133_499_999, True),
        ("133 million", 133_500_000, False),
        ("0.27M", 265_000, True),
        ("0.27M", 274_999, True),
        ("0.27M", 275_000, False),
        ("0.85M", 853_018, True),
        ("0.85M", 855_770, False),
        ("81%", Fraction(163, 2), False),
        ("81%", Fraction(163, 2) - Fraction(1, 10**30), True),
        ("no more than 1%", 0, True),
        ("no more than 1%", 1, True),
        ("no more than 1%", Fraction(10_001, 10_000), False),
        ("no more than 1%", Fraction(-1, 10_000), False),
        ("no more than 60 million", 60_000_000, True),
        ("no more than 60 million", 60_000_001, False),
    ],
)
def test_the_low_end_belongs_to_it_and_the_high_end_does_not_unless_it_is_a_bound(printed: str, value: Fraction, inside: bool) -> None:
    assert (value in interval(printed)) is inside


UNREADABLE = [
    "", " ", "-", "abc", "-1", "+1", "1e9", ".5", "5.", "1,00", "1,0000", "1234,567", "1.2.3", "0x10", "1_000", "1 %", "60 M",
    "60  million", "60 Million", "60 trillion", "Thirteen", "thirteen ", "seventeen", "no more than", "no more than one",
    "about 60", "60\n", "\n60", "\N{ARABIC-INDIC DIGIT SIX}", "\N{SUPERSCRIPT TWO}", "1" * 16, "1" + ",000" * 5,
    "1.0000000001", "1.8x10^8", "1/3", "{x}", "\0",
]  # fmt: skip


@pytest.mark.parametrize("printed", UNREADABLE)
def test_what_is_no_printed_number_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match="a number such as '138'"):
        interval(printed)


@pytest.mark.parametrize("printed", ["133M", "133 million", "1%", "no more than 1k"])
def test_a_number_and_its_table_do_not_both_scale(printed: str) -> None:
    with pytest.raises(ValueError, match=r"a number without .* 'million'"):
        interval(printed, scale="million")


@given(st.integers(0, 10**9), st.integers(0, 6), st.sampled_from(sorted(SUFFIXES)))
def test_a_number_printed_with_decimals_holds_what_rounds_to_it(digits: int, places: int, suffix: str) -> None:
    """Half a step of the last decimal on each side, whatever the suffix."""
    value = Fraction(digits, 10**places)
    printed = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else f"{digits}.0"
    half = Fraction(1, 2 * 10 ** (places or 1)) * SUFFIXES[suffix]
    assert interval(printed + suffix) == Interval(value * SUFFIXES[suffix] - half, value * SUFFIXES[suffix] + half)


@given(st.integers(1, 10**12 - 1))
def test_separators_change_nothing(number: int) -> None:
    assert interval(f"{number:,}") == interval(str(number))
    assert number in interval(str(number))


@given(st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        values = interval(text)
    except ValueError:
        return
    assert values.low < values.high
