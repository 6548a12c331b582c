"""The figures of timings, drawn: images a second by network, the roofline, and the speed-up ladder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from reports.curves import Rows, _bare, _legend
from reports.drawing import ROW, WIDTH, Theme
from reports.wording import rounded

#: Inches between two labels of the roofline's networks, and between two steps of the ladder.
LABEL, STEP = 0.17, 0.3
#: Inches of a letter, and the part of the axes in which the threads from the roofline's names to their dots run askew.
LETTER, FAN = 0.075, 0.06
DASHES = ("-", "--", ":", "-.")


# ---------------------------------------------------------------- images a second


def _rates(data: Rows, theme: Theme) -> Figure:
    """A row for each network, a panel for each task; large images above, small ones below."""
    head, rows = data[0], data[1:]
    places = _places(head["groups"])
    height = ROW * (max(places.values()) + 1) + 1.15
    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(1, len(head["tasks"]), sharey=True, squeeze=False)[0])
    figure.subplots_adjust(left=0.115, right=0.885, wspace=0.34, top=1 - 0.62 / height, bottom=0.5 / height)
    figure.text(0.01, 1 - 0.08 / height, head["label"], va="top", fontsize=8.5)
    for axes, task in zip(panels, head["tasks"], strict=True):
        axes.set_title(f"{task.capitalize()}, images/s (logarithmic)", loc="left")
        found = [row for row in rows if row["task"] == task]
        _pairs(axes, [places[row["network"]] for row in found], found, theme)
        heading = {"xycoords": "axes fraction", "xytext": (0, 6), "textcoords": "offset points", "fontsize": 9, "fontweight": "bold"}
        axes.annotate("Speed-up", (1.02, 1), **heading)
        timed = {row["network"] for row in found}
        for network in (name for name in places if name not in timed):  # in order: a picture must not change by itself
            axes.text(0.5, places[network], "not timed", transform=axes.get_yaxis_transform(), va="center", ha="center", color=theme.faint)
        _log_axis(axes, [value for row in found for dot in (row["eager"], row["fastest"]) for value in dot if value is not None])
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(max(places.values()) + 0.6, -0.6)
        _bare(axes)
        axes.grid(axis="x")
    handles = [_mark(theme.orange, "o", "eager float32", hollow=True), _mark(theme.blue, "o", "fastest")]
    handles.append(Line2D([], [], color=theme.ink, linewidth=1.4, label="95 % interval of the median"))
    _legend(figure, handles)
    return figure


def _places(groups: Sequence[Sequence[str]]) -> dict[str, float]:
    """Where each network's row is, half a row between two groups."""
    places: dict[str, float] = {}
    for group in groups:
        start = max(places.values()) + 1.5 if places else 0.0
        places |= {name: start + number for number, name in enumerate(group)}
    return places


def _pairs(axes: Axes, places: list[float], rows: Rows, theme: Theme) -> None:
    """Both dots of each row with their intervals, in one piece each: a figure of all networks stays small."""
    slow, fast = ([row[kind] for row in rows] for kind in ("eager", "fastest"))
    _segments(
        axes, [(place, a[0], b[0]) for place, a, b in zip(places, slow, fast, strict=True)], color=theme.grid, linewidth=2.2, zorder=1
    )
    for dots, colour, face in ((slow, theme.orange, "none"), (fast, theme.blue, theme.blue)):
        middles = [dot[0] for dot in dots]
        axes.plot(middles, places, "o", color=colour, markerfacecolor=face, markersize=5, markeredgewidth=1.2, zorder=3)
        known = [(place, dot[1], dot[2]) for place, dot in zip(places, dots, strict=True) if dot[1] is not None]
        _segments(axes, known, color=theme.ink, linewidth=1.4, zorder=4)
    for place, row in zip(places, rows, strict=True):
        axes.text(1.02, place, row["words"], transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)


def _segments(axes: Axes, segments: list[tuple[float, float, float]], **style: Any) -> None:
    """Horizontal pieces, each a place and both ends, as one broken line."""
    x = [value for _, start, end in segments for value in (start, end, math.nan)]
    axes.plot(x, [place for place, _, _ in segments for _ in range(3)], solid_capstyle="butt", **style)


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.minorticks_off()
    low, high = min(values) / 1.4, max(values) * 1.4
    axes.set_xlim(low, high)
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")


# ---------------------------------------------------------------- roofline


def _roofline(data: Rows, theme: Theme) -> Figure:
    """GFLOP/s against FLOP for each byte of least traffic, both logarithmic; the networks are named at the bottom, under their dots."""
    head, rows = data[0], data[1:]
    names = LETTER * max(len(row["network"]) for row in rows)
    height = 4.4 + names
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.075, right=0.83, top=1 - 0.62 / height, bottom=0.75 / height)
    figure.text(0.01, 1 - 0.08 / height, head["label"], va="top", fontsize=8.5)
    axes.set_title("GFLOP/s against FLOP per byte of least traffic (both logarithmic)", loc="left")
    dots = [dot for row in rows for dot in (row["eager"], row["fastest"])]
    left, right = min(dot[0] for dot in dots) / 1.6, max(dot[0] for dot in dots) * 1.6
    if head["copy"]:
        left = min(left, min(roof["flops"] for roof in head["roofs"]) / head["copy"] / 1.6)
    low, high = min(dot[1] for dot in dots), 1.5 * max(dot[1] for dot in [*dots, *([0, roof["flops"]] for roof in head["roofs"])])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    part = names / (height - 1.37)  # of the axes, which the names take from the bottom up
    axes.set_ylim(high / (high / low) ** (1 / (1 - part - 2 * FAN)), high)
    _roofs(axes, head, theme)
    for row in rows:
        (x, y), (fast_x, fast_y) = row["eager"], row["fastest"]
        axes.plot([x, fast_x], [y, fast_y], color=theme.grid, linewidth=1.2, zorder=1)
        axes.plot(x, y, "o", color=theme.orange, markerfacecolor="none", markersize=5, markeredgewidth=1.2, zorder=4)
        axes.plot(fast_x, fast_y, "o", color=theme.blue, markersize=5, zorder=3)
    _name_dots(axes, rows, part, theme)
    axes.set_xlabel("FLOP per byte: weights, inputs and outputs of each layer moved once")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    ticks = [step * 10.0**power for power in range(6, 16) for step in (1, 2, 5) if low / 1.5 <= step * 10.0**power <= high]
    axes.set_yticks(ticks, [f"{tick / 10**9:,.9g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y")
    _bare(axes)
    _legend(figure, [_mark(theme.orange, "o", "eager float32", hollow=True), _mark(theme.blue, "o", "fastest")])
    return figure


def _roofs(axes: Axes, head: dict[str, Any], theme: Theme) -> None:
    """A roof for each dtype, named at the right edge; the slope of the copy rate, up to the highest roof."""
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    roofs = sorted(head["roofs"], key=lambda roof: roof["flops"])
    wanted = [math.log(roof["flops"] / low) / math.log(high / low) for roof in roofs]
    inches = axes.get_position().height * axes.figure.get_figure(root=True).get_size_inches()[1]
    for roof, place, dashes in zip(roofs, spread_out(wanted, LABEL / inches), itertools.cycle(DASHES)):
        knee = max(left, roof["flops"] / head["copy"]) if head["copy"] else left
        axes.plot([knee, right], [roof["flops"]] * 2, color=theme.ink, linewidth=1.3, linestyle=dashes, zorder=2)
        axes.text(1.01, place, f"{roof['dtype']}: {rounded(roof['flops'] / 10**9)}", transform=axes.transAxes, va="center")
    if head["copy"]:
        knee = roofs[-1]["flops"] / head["copy"]
        start = max(left, low / head["copy"])
        axes.plot([start, knee], [start * head["copy"], knee * head["copy"]], color=theme.ink, linewidth=1.3, zorder=2)
        axes.annotate(
            f"memory copy: {rounded(head['copy'] / 10**9)} GB/s",
            (start, start * head["copy"]),
            xytext=(3, 8),
            textcoords="offset points",
            rotation=_angle(axes),
            rotation_mode="anchor",
        )


def _angle(axes: Axes) -> float:
    """The angle in degrees of a line of slope 1 on these logarithmic axes."""
    box, size = axes.get_position(), axes.figure.get_figure(root=True).get_size_inches()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return math.degrees(math.atan2(box.height * size[1] / math.log(high / low), box.width * size[0] / math.log(right / left)))


def _name_dots(axes: Axes, rows: Rows, part: float, theme: Theme) -> None:
    """The networks' names in the order of their eager dots, never closer than a line, each with a thread up to its dot.

    They take ``part`` of the axes.
    """
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    ordered = sorted(rows, key=lambda row: (row["eager"][0], row["eager"][1]))
    wanted = [math.log(row["eager"][0] / left) / math.log(right / left) for row in ordered]
    inches = axes.get_position().width * axes.figure.get_figure(root=True).get_size_inches()[0]
    for row, place, own in zip(ordered, spread_out(wanted, LABEL / inches), wanted, strict=True):
        dot = math.log(row["eager"][1] / low) / math.log(high / low)
        thread = [own, own, place], [dot - 0.015, part + FAN, part + 0.01]
        axes.plot(*thread, transform=axes.transAxes, color=theme.faint, linewidth=0.5, zorder=2)
        axes.text(place, part, row["network"], transform=axes.transAxes, va="top", ha="center", rotation=90, fontsize=8)


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places between 0 and 1, moved as little as a gap between neighbours needs: groups that collide share their middle."""
    groups: list[list[float]] = []  # each the wanted places, less what the label before needs
    for number, place in enumerate(places):
        groups.append([place - number * gap])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    flat = [_mean(group) for group in groups for _ in group]
    most = 1 - (len(places) - 1) * gap
    return [min(max(place, 0.0), max(most, 0.0)) + number * gap for number, place in enumerate(flat)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# ---------------------------------------------------------------- ladder


def _ladder(data: Rows, theme: Theme) -> Figure:
    """A bar for each step, a panel for each task; beside it the rate, how many times the first it is, and whether the step is one."""
    head, panels = data[0], data[1:]
    steps = sum(len(panel["steps"]) for panel in panels)
    height = STEP * steps + 0.55 * len(panels) + 0.55
    figure = Figure(figsize=(WIDTH, height))
    ratios = [len(panel["steps"]) for panel in panels]
    axes_of = list(figure.subplots(len(panels), 1, squeeze=False, height_ratios=ratios)[:, 0])
    figure.subplots_adjust(left=0.24, right=0.66, top=1 - 0.62 / height, bottom=0.55 / height, hspace=0.55 * 2 * len(panels) / steps + 0.25)
    figure.text(0.01, 1 - 0.08 / height, head["label"], va="top", fontsize=8.5)
    for axes, panel in zip(axes_of, panels, strict=True):
        axes.set_title(f"{panel['title']}: images/s", loc="left")
        for place, step in enumerate(panel["steps"]):
            _step(axes, place, step, theme)
        axes.set_yticks(range(len(panel["steps"])), [step["step"] for step in panel["steps"]])
        axes.set_ylim(len(panel["steps"]) - 0.4, -0.6)
        axes.set_xlim(0, 1.05 * max(step["rate"][2] or step["rate"][0] for step in panel["steps"]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.locator_params(axis="x", nbins=6)
        _bare(axes)
        axes.grid(axis="x")
    handles: list[Any] = [Patch(facecolor=theme.blue, alpha=0.55, label="another rate than the step before")]
    handles += [Patch(facecolor=theme.faint, alpha=0.55, label="no difference from the step before")]
    _legend(figure, [*handles, Line2D([], [], color=theme.ink, linewidth=1.4, label="95 % interval of the median")])
    return figure


def _step(axes: Axes, place: float, step: dict[str, Any], theme: Theme) -> None:
    middle, low, high = step["rate"]
    colour = theme.orange if place == 0 else theme.blue if step["differs"] else theme.faint
    axes.barh(place, middle, height=0.55, color=colour, alpha=0.55, linewidth=0)
    if low is not None:
        axes.plot([low, high], [place, place], color=theme.ink, linewidth=1.4, solid_capstyle="butt", zorder=3)
    axes.text(1.02, place, step["words"], transform=axes.get_yaxis_transform(), va="center", fontsize=8)


# ---------------------------------------------------------------- parts


def _mark(colour: str, marker: str, label: str, hollow: bool = False) -> Line2D:
    face = "none" if hollow else colour
    return Line2D([], [], color=colour, marker=marker, markersize=5, markerfacecolor=face, linestyle="none", label=label)


#: By the kind of the chart.
RATES: dict[str, Callable[[Rows, Theme], Figure]] = {"rates": _rates, "roofline": _roofline, "ladder": _ladder}
