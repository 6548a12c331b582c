"""The figures of the lecture, drawn: one for each topic, with English text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.drawing import WIDTH, Theme

Rows = list[dict[str, Any]]


def _panels(widths: Sequence[float], height: float, titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Panels side by side, each with its title."""
    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0])
    figure.subplots_adjust(left=0.07, right=0.98, top=1 - 0.3 / height, bottom=0.48 / height, wspace=0.26)
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left")
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        axes.grid(axis="y")
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure, panels


def _convolution(data: Rows, theme: Theme) -> Figure:
    (row,) = data
    figure, (sides, shifts) = _panels(
        (1.3, 1), 3.2, ("Side of the output, 3x3 filter, no padding", "Maps moved by a shift of the input, %")
    )
    heights = [side["height"] for side in row["sides"]]

    def line(field: str, colour: str, style: str, label: str) -> None:
        sides.plot(heights, [side[field] for side in row["sides"]], style, color=colour, markersize=4, linewidth=1.2, label=label)

    line("plain", theme.blue, "o-", "torch, stride 1: n - 2")
    line("n_minus_m", theme.orange, "--", "slide: n - m")
    line("torch", theme.green, "s-", "torch, stride 2")
    line("slide", theme.pink, ":", "slide, stride 2, not rounded down")
    sides.set_xlabel("side of the input, n")
    sides.legend(loc="upper left")
    names = {"none": ("no pooling", theme.orange), "max_2": ("max pooling 2x2", theme.blue), "max_4": ("max pooling 4x4", theme.green)}
    for name, (label, colour) in names.items():
        points = [shift for shift in row["shifts"] if shift["pooling"] == name]
        shifts.plot(
            [p["shift"] for p in points], [p["moved"] for p in points], "o-", color=colour, markersize=4, linewidth=1.2, label=label
        )
    shifts.set_xticks(range(5))
    shifts.set_xlabel("shift, pixels of 36")
    shifts.legend(loc="upper left")
    return figure


#: By the stem of the chart.
SLIDES: dict[str, Callable[[Rows, Theme], Figure]] = {"lecture-convolution": _convolution}
