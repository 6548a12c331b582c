"""A typed number: what it can distinguish, how it is written back, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.conventions.typed import read_value
from repro.errors import ReproError


@pytest.mark.parametrize(
    ("text", "low", "high", "power"),
    [
        ("4.14e9", 4_135_000_000, 4_145_000_000, 9),
        ("4.14", 4_135_000_000, 4_145_000_000, 9),
        (" 4.1G ", 4_050_000_000, 4_150_000_000, 9),
        ("15.3B", 15_250_000_000, 15_350_000_000, 9),
        ("0.71", 705_000_000, 715_000_000, 9),
        ("30.9", 30_850_000_000, 30_950_000_000, 9),
        ("724M", 723_500_000, 724_500_000, 6),
        ("1.547e10", 15_465_000_000, 15_475_000_000, 9),
        ("4,089,184,256", 4_089_184_256, 4_089_184_257, 0),
        ("4100000000", 4_050_000_000, 4_150_000_000, 0),
        ("999", 998_500_000_000, 999_500_000_000, 9),
        ("1000", 500, 1500, 0),
    ],
)
def test_values_are_read_at_the_precision_they_were_typed_with(text: str, low: int, high: int, power: int) -> None:
    typed = read_value(text)
    assert (low in typed.interval(), high in typed.interval(), typed.power) == (True, False, power)
    assert low - 1 not in typed.interval()


def test_cut_off_and_binary_intervals() -> None:
    typed = read_value("3.8")
    assert typed.interval(cut_off=True).low == 3_800_000_000
    assert typed.interval(cut_off=True).high == 3_900_000_000
    assert 4_089_184_256 in typed.interval(binary=True)
    assert typed.write(4_089_184_256, binary=True) == "3.8 x 2^30"
    assert (typed.write(3_857_973_248), typed.write(3_857_973_248, cut_off=True)) == ("3.9 x 10^9", "3.8 x 10^9")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-3",
        "+3",
        "nan",
        "inf",
        "abc",
        "1e999",
        "1e16",
        "0",
        "0.0",
        "4,14",
        "4.",
        "4.14e-9",
        "9" * 40,
        "one",
        "3 8",
        "4.1 GFLOPs",
        "٤",
    ],
)
def test_a_bad_value_is_one_clear_line(text: str) -> None:
    with pytest.raises(ReproError, match="expected a number of operations") as raised:
        read_value(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 220


@given(st.text(max_size=30) | st.from_regex(r"[0-9.,]{1,12}([eE][0-9]{1,3}|[kMGB])?", fullmatch=True))
def test_any_text_is_a_value_that_writes_back_or_an_error(text: str) -> None:
    try:
        typed = read_value(text)
    except ReproError:
        return
    assert typed.number in typed.interval()
    if typed.number.denominator == 1:
        written = typed.write(int(typed.number)).split()[0].replace(",", "")
        assert float(written) * 10**typed.power == pytest.approx(float(typed.number))
