"""The figures of timings, drawn."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from reports import charts
from reports.plotted import KINDS, timing_charts
from reports.rates import spread_out
from reports.render import draw_figure, is_fresh
from repro import Ledger
from repro.throughput.timing import Session, Timing

FAST: dict[str, Any] = {"dtype": "bfloat16", "layout": "channels_last", "compiled": True}


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.5, 0.5, 0.9], [0.4, 0.5, 0.6, 0.9]),
        ([0.0, 0.0], [0.0, 0.1]),
        ([0.99, 1.0], [0.9, 1.0]),
        ([], []),
    ],
)
def test_labels_move_apart_as_little_as_they_must(places: list[float], moved: list[float]) -> None:
    assert spread_out(places, 0.1) == pytest.approx(moved)


def test_labels_keep_their_order_and_distance() -> None:
    places = spread_out(sorted([0.31, 0.3, 0.32, 0.35, 0.9, 0.91, 0.99, 0.05]), 0.07)
    assert all(after - before >= 0.07 - 1e-9 for before, after in itertools.pairwise(places))
    assert 0 <= places[0] <= places[-1] <= 1


@pytest.mark.parametrize("theme", charts.THEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_drawing(ledger: Ledger, make_timing: Callable[..., Timing], make_session: Callable[..., Session], kind: str, theme: str) -> None:
    rows = [make_timing(name, seconds, **how) for name, seconds in (("resnet50", 0.5), ("lenet5", 0.001)) for how in ({}, FAST)]
    rows += [make_timing("resnet50", 0.45, layout="channels_last"), make_timing("vgg-d", (4.0, 4.1), task="training")]
    chart = next(chart for chart in timing_charts([make_session(*rows)], ledger) if chart.kind == kind)
    svg = draw_figure(chart, theme)
    assert is_fresh(svg, chart.digest(theme))
    assert svg == draw_figure(chart, theme)
    assert "<text" not in svg
    assert chart.title in svg


def test_a_machine_without_a_copy_rate_has_roofs_alone(
    ledger: Ledger, make_timing: Callable[..., Timing], make_session: Callable[..., Session]
) -> None:
    (chart,) = (chart for chart in timing_charts([make_session(make_timing(), copies=())], ledger) if chart.kind == "roofline")
    assert draw_figure(chart, "light").count("<svg") == 1
