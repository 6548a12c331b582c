"""Charts as SVG, in a light and a dark theme. The only module that imports matplotlib; import it when something must be drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts import LAYERS, MACS, PARAMETERS, Chart

WIDTH = 8.6  # inches of 72 points: about 830 pixels, as wide as GitHub shows a page
ROW = 0.215  # inches for a network in a chart with a row for each


@dataclass(frozen=True)
class Theme:
    """Colours on GitHub's background, from the palette of Okabe and Ito, which colour-blind people tell apart."""

    ink: str
    faint: str
    grid: str
    blue: str
    orange: str
    green: str
    pink: str


THEMES = {
    "light": Theme("#1f2328", "#59636e", "#d1d9e0", "#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    "dark": Theme("#f0f6fc", "#9198a1", "#3d444d", "#56b4e9", "#e69f00", "#009e73", "#cc79a7"),
}


def draw_chart(chart: Chart, theme: str, description: str) -> str:
    """The chart as SVG; the same chart gives the same bytes with one version of matplotlib."""
    from reports.curves import DRAWINGS  # which draws with what is here

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # nobody's own settings
        cast("dict[str, Any]", matplotlib.rcParams).update(_settings(THEMES[theme]))
        figure = (DRAWINGS | _DRAWINGS)[chart.kind or chart.stem](chart.data, THEMES[theme])
        metadata = {"Date": None, "Creator": None, "Title": chart.title, "Description": description}
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata=metadata)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def _settings(theme: Theme) -> dict[str, Any]:
    inks = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor")
    return {
        "svg.fonttype": "path",
        "svg.hashsalt": "cnn-repro",
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 8.5,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "axes.edgecolor": theme.grid,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "legend.frameon": False,
        **dict.fromkeys(inks, theme.ink),
    }


# ---------------------------------------------------------------- by network


def _parameters(data: list[dict[str, Any]], theme: Theme) -> Figure:
    figure, (left, right) = _two_panels(len(data), (1.0, 1.0))
    _rows_of(left, data)
    _dots(left, [row["params"] for row in data], theme, "Parameters (logarithmic)")
    colours = {"convolutions": theme.blue, "fully connected": theme.orange, "batch norm": theme.green, "subsampling": theme.pink}
    for number, row in enumerate(data):
        start = 0.0
        for part, count in row["parts"].items():
            share = 100 * count / row["params"]
            right.barh(number, share, left=start, height=0.66, color=colours[part], linewidth=0)
            start += share
    right.set_title("Which layers hold them, %", loc="left")
    right.set_xlim(0, 100)
    _legend(figure, [(colour, part) for part, colour in colours.items()])
    return figure


def _macs(data: list[dict[str, Any]], theme: Theme) -> Figure:
    figure, (left, right) = _two_panels(len(data), (1.25, 1.0))
    _rows_of(left, data)
    _dots(left, [row["macs"] for row in data], theme, "MACs of one image (logarithmic)")
    edge = 3.0
    for number, row in enumerate(data):
        if row["printed"] is not None:
            _against_print(right, number, row, theme, edge)
    right.axvline(0, color=theme.faint, linewidth=0.8)
    right.set_xlim(-edge, edge)
    right.set_title("Off the printed value, %", loc="left")
    right.annotate("Printed", (1.02, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", fontsize=9, fontweight="bold")
    right.grid(axis="x")
    entries = [(theme.grid, "range that prints the same"), (theme.blue, "count within it"), (theme.orange, "count outside")]
    _legend(figure, entries)
    return figure


def _against_print(axes: Axes, number: int, row: dict[str, Any], theme: Theme, edge: float) -> None:
    """What rounding allows as a bar, the count as a mark; one beyond the axis as an arrow with its number."""
    middle = (row["low"] + row["high"]) / 2
    half = 100 * (row["high"] / middle - 1)
    off = 100 * (row["macs"] / middle - 1)
    inside = row["low"] <= row["macs"] < row["high"]
    colour = theme.blue if inside else theme.orange
    axes.barh(number, 2 * half, left=-half, height=0.66, color=theme.grid, linewidth=0)
    if abs(off) < edge:
        axes.plot(off, number, marker="o" if inside else "D", markersize=5, color=colour, linestyle="none")
    else:
        side, shown = math.copysign(1, off), f"{off:+.1f} %".replace("-", "\N{MINUS SIGN}")
        axes.plot(side * (edge - 0.15), number, marker="<" if off < 0 else ">", markersize=6, color=colour, linestyle="none")
        axes.text(
            side * (edge - 0.4),
            number,
            shown,
            va="center",
            ha="left" if off < 0 else "right",
            color=colour,
        )
    axes.text(1.02, number, row["printed"], transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)


def _two_panels(rows: int, widths: Sequence[float]) -> tuple[Figure, tuple[Axes, Axes]]:
    height = rows * ROW + 0.85
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(1, 2, sharey=True, width_ratios=widths)
    figure.subplots_adjust(left=0.205, right=0.89, wspace=0.17, top=1 - 0.3 / height, bottom=0.55 / height)
    return figure, (axes[0], axes[1])


def _rows_of(axes: Axes, data: list[dict[str, Any]]) -> None:
    """A row for each network, the first on top."""
    axes.set_yticks(range(len(data)), [row["label"] for row in data])
    axes.set_ylim(len(data) - 0.4, -0.6)
    for panel in axes.figure.axes:
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)


def _dots(axes: Axes, values: list[int], theme: Theme, title: str) -> None:
    """Values on a logarithmic axis: a mark, since a bar would need a zero, and the number beside it."""
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 2, max(values) * 9)
    axes.hlines(range(len(values)), min(values) / 2, values, color=theme.grid, linewidth=0.8)
    axes.plot(values, range(len(values)), marker="o", markersize=5, color=theme.blue, linestyle="none")
    for number, value in enumerate(values):
        axes.annotate(_short(value), (value, number), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_title(title, loc="left")
    axes.minorticks_off()
    decades = range(math.ceil(math.log10(min(values) / 2)), math.floor(math.log10(max(values) * 9)) + 1)
    axes.set_xticks([10.0**power for power in decades], [_short(10**power, digits=1) for power in decades])


def _legend(figure: Figure, entries: Sequence[tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=colour, label=label) for colour, label in entries]
    figure.legend(handles=handles, loc="lower right", bbox_to_anchor=(0.99, 0), ncols=len(entries), handlelength=1, columnspacing=1.2)


# ---------------------------------------------------------------- by layer


def _layers(data: list[dict[str, Any]], theme: Theme) -> Figure:
    height = 1.75 * len(data) + 0.35
    figure = Figure(figsize=(WIDTH, height))
    panels = figure.subplots(len(data), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.07, right=0.99, hspace=0.42, top=1 - 0.25 / height, bottom=0.5 / height)
    for axes, row in zip(panels, data, strict=True):
        _mirrored(axes, row, theme)
    _legend(figure, [(theme.blue, "share of parameters, upward"), (theme.orange, "share of MACs, downward")])
    return figure


def _mirrored(axes: Axes, network: dict[str, Any], theme: Theme) -> None:
    """A bar up and a bar down for each layer; printed rows are set apart and named."""
    position, ticks, names, highest, lowest = 0.0, [], [], 0.0, 0.0
    for row in network["rows"]:
        start = position
        for layer in row["layers"]:
            up, down = 100 * layer["params"] / network["params"], 100 * layer["macs"] / network["macs"]
            axes.bar(position, up, width=0.84, color=theme.blue, linewidth=0)
            axes.bar(position, -down, width=0.84, color=theme.orange, linewidth=0)
            highest, lowest = max(highest, up), max(lowest, down)
            position += 1
        ticks.append((start + position - 1) / 2)
        names.append(row["label"])
        position += 0.6
    axes.axhline(0, color=theme.faint, linewidth=0.8)
    axes.set_xlim(-0.8, position - 0.4)
    axes.set_xticks(ticks, names)
    axes.tick_params(length=0)
    axes.set_ylim(-1.08 * lowest, 1.08 * highest)
    step = next(step for step in (1, 2, 4, 5, 10, 20, 25, 50) if 5 * step >= highest + lowest)
    marks = range(-int(lowest // step) * step, int(highest // step) * step + 1, step)
    axes.set_yticks(marks, [f"{abs(mark)} %" for mark in marks])
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{network['label']}: {_short(network['params'])} parameters, {_short(network['macs'])} MACs", loc="left")


def _short(value: int, digits: int = 3) -> str:
    """``138 M``"""
    for factor, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= factor:
            return (f"{value / factor:#.3g}".rstrip(".") if digits == 3 else f"{value / factor:.0f}") + f" {letter}"
    return str(value)


_DRAWINGS = {PARAMETERS: _parameters, MACS: _macs, LAYERS: _layers}
