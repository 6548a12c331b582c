"""The figures of training runs, drawn: error by iteration, gaps, gradients, responses, and hours by number of workers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from reports.drawing import WIDTH, Theme

Rows = list[dict[str, Any]]

THIN, BOLD = 0.8, 1.9
#: Where a panel has no line of a network.
MISSING = "no run"


def _error_curves(data: Rows, theme: Theme) -> Figure:
    head, rows = data[0], data[1:]
    figure, panels = _panels(head["label"], theme, 2, 3.9)
    ours = [row for row in rows if row["source"] == "here"]
    for axes, panel in zip(panels, ("Plain", "Residual"), strict=True):
        axes.set_title(panel, loc="left")
        for row in (row for row in rows if row["panel"] == panel):
            _line(axes, row, _colour(row["network"], theme))
        names = dict.fromkeys(row["network"] for row in ours if row["panel"] == panel)
        _name_networks(axes, list(names), theme)
        axes.set_xlim(0, head["iterations"])
        axes.set_ylim(0, _ceiling(ours))
        axes.set_xlabel("iteration")
        quarters = [head["iterations"] * part / 4 for part in range(5)]
        axes.set_xticks(quarters, [f"{quarter:,.0f}" for quarter in quarters])
        axes.grid(axis="y")
    panels[0].set_ylabel("error, %")
    seeds = max(row["seeds"] for row in ours)
    handles: list[Any] = [
        Line2D([], [], color=theme.ink, linewidth=THIN, label="training"),
        Line2D([], [], color=theme.ink, linewidth=BOLD, label="test"),
    ]
    handles += [Patch(facecolor=theme.ink, alpha=0.25, label=f"range of {seeds} seeds")] if seeds > 1 else []
    if any(row["source"] == "paper" for row in rows):
        handles.append(
            Line2D([], [], color=theme.faint, linestyle=":", label="the paper's (drawn below 20 %), 64,000 iterations on this width")
        )
    _legend(figure, handles)
    return figure


def _line(axes: Axes, row: dict[str, Any], colour: str) -> None:
    width = BOLD if row["kind"] == "test" else THIN
    if row["source"] == "paper":
        axes.plot(row["x"], row["mean"], color=colour, linewidth=width, linestyle=":", alpha=0.75, zorder=1)
        return
    axes.plot(row["x"], row["mean"], color=colour, linewidth=width, zorder=3)
    if row["seeds"] > 1:
        axes.fill_between(row["x"], row["low"], row["high"], color=colour, alpha=0.22, linewidth=0, zorder=2)


def _ceiling(rows: Rows) -> float:
    """20 % as in the paper, or more where a network ends higher."""
    end = max(row["high"][-1] for row in rows)
    return float(min(100, max(20, -(-1.5 * end // 10) * 10)))


def _gap_bars(data: Rows, theme: Theme) -> Figure:
    head, rows = data[0], data[1:]
    errors = [row for row in rows if row["measure"] != "training loss"]
    losses = [row for row in rows if row["measure"] == "training loss"]
    figure, (left, right) = _panels(head["label"], theme, 2, 3.3, share=False, left=0.22)
    for axes, group, title in ((left, errors, "Error, 56 minus 20 layers, points"), (right, losses, "Loss, 56 minus 20 layers")):
        axes.set_title(title, loc="left")
        measures = list(dict.fromkeys(row["measure"] for row in group))
        for row in group:
            shift = -0.2 if row["panel"] == "plain" else 0.2
            _bar(axes, measures.index(row["measure"]) + shift, row, theme.orange if row["panel"] == "plain" else theme.blue, theme)
        axes.set_yticks(range(len(measures)), [measure.replace(", ", ",\n") for measure in measures])
        axes.set_ylim(max(len(measures), 1) - 0.4, -0.6)
        axes.axvline(0, color=theme.faint, linewidth=0.8)
        axes.grid(axis="x")
    handles: list[Any] = [Patch(facecolor=theme.orange, label="plain"), Patch(facecolor=theme.blue, label="residual")]
    handles.append(Line2D([], [], color=theme.ink, marker="o", markersize=3, linestyle="none", label="a seed"))
    if any(row["interval"] for row in rows):
        handles.append(Line2D([], [], color=theme.ink, linewidth=1.4, label="95 % interval of the mean, paired by seed"))
    _legend(figure, handles)
    return figure


def _bar(axes: Axes, place: float, row: dict[str, Any], colour: str, theme: Theme) -> None:
    axes.barh(place, statistics.fmean(row["values"]), height=0.34, color=colour, alpha=0.55, linewidth=0)
    if row["interval"]:
        axes.plot(row["interval"], [place, place], color=theme.ink, linewidth=1.4, solid_capstyle="butt", zorder=3)
    axes.plot(row["values"], [place + 0.09] * len(row["values"]), "o", color=theme.ink, markersize=2.4, markeredgewidth=0, zorder=4)


def _gradient_norms(data: Rows, theme: Theme) -> Figure:
    head, rows = data[0], data[1:]
    figure, (first, last, through) = _panels(head["label"], theme, 3, 3.4, share=False)
    for axes, field, title in ((first, "first", "At the start"), (last, "last", "At the end")):
        axes.set_title(title, loc="left")
        for row in rows:
            places = [number / (len(row[field]) - 1) for number in range(len(row[field]))]
            axes.plot(places, row[field], color=_colour(row["network"], theme), linestyle=_dashes(row["network"]), linewidth=1.3)
        axes.set_xticks([0, 1], ["first layer", "fc"])
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[1].set_horizontalalignment("right")
    through.set_title("First layer over last convolution", loc="left")
    for row in rows:
        mean, low, high = zip(*row["ratio"], strict=True)
        colour = _colour(row["network"], theme)
        through.plot(row["iteration"], mean, color=colour, linestyle=_dashes(row["network"]), linewidth=1.3, zorder=3)
        through.fill_between(row["iteration"], low, high, color=colour, alpha=0.15, linewidth=0)
    through.axhline(1, color=theme.faint, linewidth=0.8)
    through.set_xlabel("iteration")
    through.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    through.locator_params(axis="x", nbins=4)
    first.set_ylabel("L2 norm of the gradient")
    for axes in (first, last, through):
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y")
    lows, highs = zip(first.get_ylim(), last.get_ylim(), strict=True)
    for axes in (first, last):
        axes.set_ylim(min(lows), max(highs))
    _legend(figure, [_network_line(row["network"], theme) for row in rows])
    return figure


def _layer_responses(data: Rows, theme: Theme) -> Figure:
    head, rows = data[0], data[1:]
    figure, panels = _panels(head["label"], theme, 2, 3.3)
    for axes, panel, prefix in zip(panels, ("Plain", "Residual"), ("plain", "resnet"), strict=True):
        axes.set_title(panel, loc="left")
        for row in (row for row in rows if row["network"].startswith(prefix)):
            colour, places = _colour(row["network"], theme), range(1, len(row["std"]) + 1)
            mean, low, high = zip(*row["std"], strict=True)
            axes.plot(places, mean, color=colour, linewidth=1.3, zorder=3)
            axes.fill_between(places, low, high, color=colour, alpha=0.22, linewidth=0)
            axes.plot(row["paper_layers"], row["paper_std"], color=colour, linewidth=1.1, linestyle=":", zorder=2)
        names = [row["network"] for row in rows if row["network"].startswith(prefix)]
        _name_networks(axes, list(names), theme)
        axes.set_xlabel("layer")
        spread = [
            value for row in rows for value in (*row["paper_std"], *(point[1] for point in row["std"]), *(point[2] for point in row["std"]))
        ]
        axes.set_yscale("log")
        axes.set_ylim(max(min(spread), 0.05) / 1.2, 3 * max(spread))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y")
    panels[0].set_ylabel("standard deviation")
    measured = Line2D([], [], color=theme.ink, linewidth=1.3, label="this run")
    paper = Line2D([], [], color=theme.ink, linewidth=1.1, linestyle=":", label="the paper's Figure 7: CIFAR-10, its 64,000 iterations")
    _legend(figure, [measured, paper])
    return figure


def _hours(data: Rows, theme: Theme) -> Figure:
    """Hours by number of workers, a line for each machine, on logarithmic axes; without waiting for the longest run it'd be straight."""
    colours = (theme.blue, theme.orange, theme.green, theme.pink)
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.98, top=0.92, bottom=0.15)
    for number, row in enumerate(data):
        colour = colours[number % len(colours)]
        axes.plot(row["workers"], row["hours"], color=colour, marker="o", markersize=4, linewidth=1.5, label=row["label"])
        axes.plot(row["workers"], [row["hours"][0] / count for count in row["workers"]], color=colour, linewidth=0.9, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    ticks = sorted({count for row in data for count in row["workers"]})
    axes.set_xticks(ticks, [f"{count}" for count in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_xlabel("workers, each with one core or one accelerator like this")
    axes.set_title("Hours of the full experiment", loc="left")
    axes.grid()
    _bare(axes)
    handles, _ = axes.get_legend_handles_labels()
    handles.append(Line2D([], [], color=theme.ink, linewidth=0.9, linestyle=":", label="if runs could be split evenly"))
    axes.legend(handles=handles, loc="upper right")
    return figure


def _panels(label: str, theme: Theme, count: int, height: float, share: bool = True, left: float = 0.07) -> tuple[Figure, list[Axes]]:
    """Panels side by side under the label that says what kind of run this is."""
    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(1, count, sharey=share))
    figure.subplots_adjust(left=left, right=0.97, top=1 - 0.55 / height, bottom=0.74 / height, wspace=0.1 if share else 0.28)
    figure.text(0.01, 1 - 0.08 / height, label, va="top", color=theme.ink, fontsize=8.5)
    for axes in panels:
        _bare(axes)
    return figure, panels


def _name_networks(axes: Axes, names: list[str], theme: Theme) -> None:
    handles = [Patch(facecolor=_colour(name, theme), label=name) for name in names] or [Patch(facecolor="none", label=MISSING)]
    axes.legend(handles=handles, loc="upper right", handlelength=1)


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, handles: list[Any]) -> None:
    figure.legend(handles=handles, loc="lower right", bbox_to_anchor=(0.99, 0), ncols=len(handles), handlelength=1.6, columnspacing=1.4)


def _colour(network: str, theme: Theme) -> str:
    """By depth, so that a plain net and its ResNet have one colour."""
    known = {"20": theme.blue, "56": theme.orange, "110": theme.green}
    return known.get("".join(filter(str.isdigit, network)), theme.pink)


def _dashes(network: str) -> Literal["-", "--"]:
    return "--" if network.startswith("resnet") else "-"


def _network_line(network: str, theme: Theme) -> Line2D:
    return Line2D([], [], color=_colour(network, theme), linestyle=_dashes(network), linewidth=1.3, label=network)


#: By the kind of the chart.
DRAWINGS: dict[str, Callable[[Rows, Theme], Figure]] = {
    "curves": _error_curves,
    "gaps": _gap_bars,
    "gradients": _gradient_norms,
    "responses": _layer_responses,
    "hours": _hours,
}
