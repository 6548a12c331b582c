"""The data and the words of the figures of timings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reports.plotted import KINDS, alt_text, charts_of_place, data_of_ladder, data_of_rates, data_of_roofline
from reports.timed import Place, places_of
from repro import Ledger
from repro.throughput.timing import Session, Timing
from repro.throughput.traffic import intensity

Make = Callable[..., Timing]

FAST: dict[str, Any] = {"dtype": "bfloat16", "layout": "channels_last", "compiled": True}


@pytest.fixture
def place(make_timing: Make, make_session: Callable[..., Session]) -> Place:
    rows = [make_timing("resnet50", 1.0), make_timing("resnet50", 0.996, layout="channels_last"), make_timing("resnet50", 0.4, **FAST)]
    rows += [make_timing("resnet50", 0.995, layout="channels_last", dtype="bfloat16")]
    rows += [make_timing("alexnet", 0.2), make_timing("lenet5", 0.001), make_timing("vgg-d", 4.0, task="training")]
    (place,) = places_of([make_session(*rows)])
    return place


def test_rates_and_their_intervals(ledger: Ledger, place: Place) -> None:
    head, *rows = data_of_rates(place, ledger)
    assert head == {
        "label": "Testor 9, 2 cores (cpu), batch 8, 2 threads",
        "tasks": ["inference", "training"],
        "groups": [["alexnet", "resnet50", "vgg-d"], ["lenet5"]],
    }
    found = {(row["task"], row["network"]): row for row in rows}
    assert found["inference", "resnet50"]["eager"] == [8.0, pytest.approx(7.968, abs=0.02), pytest.approx(8.032, abs=0.02)]
    assert found["inference", "resnet50"]["fastest"][0] == 20.0
    assert [row["words"] for row in rows] == ["no difference", "2.50", "no difference", "no difference"]


def test_few_blocks_have_no_interval(ledger: Ledger, make_timing: Make, make_session: Callable[..., Session]) -> None:
    (few,) = places_of([make_session(make_timing(seconds=(0.5, 0.5)))])
    assert data_of_rates(few, ledger)[1]["eager"] == [16.0, None, None]


def test_the_roofline(ledger: Ledger, place: Place) -> None:
    head, *rows = data_of_roofline(place, ledger)
    assert head["roofs"] == [{"dtype": "float32", "flops": 2e11}, {"dtype": "bfloat16", "flops": 8e11}], "with all threads"
    assert head["copy"] == 2e10
    dot = next(row for row in rows if row["network"] == "resnet50")
    macs = ledger.network("resnet50").macs
    assert dot["eager"] == pytest.approx([intensity(ledger.network("resnet50"), "float32", 8), 2 * 8 * macs], rel=1e-3)
    assert dot["fastest"] == pytest.approx([2 * dot["eager"][0], 2.5 * dot["eager"][1]], rel=1e-3), "half the bytes"
    assert "vgg-d" not in {row["network"] for row in rows}, "traffic is that of inference"


def test_the_ladder_says_which_step_is_none(ledger: Ledger, place: Place) -> None:
    _, panel = data_of_ladder(place, ledger)
    assert panel["title"] == "Inference, batch 8, 2 threads"
    assert [(step["step"], step["words"], step["differs"]) for step in panel["steps"]] == [
        ("eager float32", "8 images/s", False),
        ("+ channels last", "8.03 images/s, no difference", False),
        ("+ bfloat16", "8.04 images/s, no difference", False),
        ("+ compiled", "20 images/s, 2.50 times the first", True),
    ]


def test_words_have_the_numbers(ledger: Ledger, place: Place) -> None:
    assert "Inference in eager float32 from resnet50 with 8 to lenet5 with 8,000" in alt_text("rates", place, ledger)
    assert "the fastest over it from alexnet no difference to resnet50 2.50 times." in alt_text("rates", place, ledger)
    assert "The roofs are 200 GFLOP/s in float32 and 800 GFLOP/s in bfloat16." in alt_text("roofline", place, ledger)
    assert "+ compiled 20 images/s, 2.50 times the first." in alt_text("ladder", place, ledger)


def test_what_has_no_data_has_no_figure(ledger: Ledger, place: Place, make_timing: Make, make_session: Callable[..., Session]) -> None:
    assert [chart.kind for chart in charts_of_place(place, ledger)] == list(KINDS)
    (bare,) = places_of([make_session(make_timing(), roofs=())])
    assert [chart.kind for chart in charts_of_place(bare, ledger)] == ["rates"]
    (failed,) = places_of([make_session(make_timing(outcome="failed"))])
    assert list(charts_of_place(failed, ledger)) == []
