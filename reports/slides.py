"""The figures of the lecture, drawn: one for each topic, with English text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from reports.drawing import WIDTH, Theme

Rows = list[dict[str, Any]]


def _panels(widths: Sequence[float], height: float, titles: Sequence[str], left: float = 0.07) -> tuple[Figure, list[Axes]]:
    """Panels side by side, each with its title."""
    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0])
    figure.subplots_adjust(left=left, right=0.98, top=1 - 0.3 / height, bottom=0.5 / height, wspace=0.26)
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left")
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        axes.grid(axis="y")
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure, panels


def _image(axes: Axes, values: Any, theme: Theme, **options: Any) -> None:
    """A map of values, from the background's colour to the theme's blue."""
    colours = LinearSegmentedColormap.from_list("values", [theme.grid, theme.blue])
    axes.grid(visible=False)
    axes.imshow(np.asarray(values), cmap=options.pop("cmap", colours), interpolation="nearest", **options)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(numticks=6))


def _perceptron(data: Rows, theme: Theme) -> Figure:
    titles = {"linear": "XOR without activation: probability of 1", "relu": "XOR with ReLU: probability of 1"}
    figure, panels = _panels((1, 1), 3.4, [titles[row["name"]] for row in data])
    for axes, row in zip(panels, data, strict=True):
        low, high = row["side"][0], row["side"][-1]
        _image(axes, row["values"], theme, origin="lower", extent=(low, high, low, high), vmin=0, vmax=1)
        for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
            axes.text(x, y, str(int(x != y)), ha="center", va="center", color=theme.ink, fontsize=13, fontweight="bold")
        axes.set_xticks([0, 1])
        axes.set_yticks([0, 1])
    return figure


def _activations(data: Rows, theme: Theme) -> Figure:
    figure, (values, slopes, depths) = _panels((1, 1, 1.1), 3.2, ("Activation", "Its slope", "First layer's gradient over last's"))
    colours = [theme.orange, theme.blue, theme.green, theme.pink, theme.faint]
    for colour, row in zip(colours, (row for row in data if "x" in row), strict=True):
        name = row["name"].replace("_", " ")
        style = "--" if name == "leaky relu" else "-"  # else it would hide ReLU
        values.plot(row["x"], row["value"], style, color=colour, linewidth=1.3, label=name)
        slopes.plot(row["x"], row["slope"], style, color=colour, linewidth=1.3)
    values.set_ylim(-2, 4)
    values.legend(loc="upper left")
    slopes.axhline(0.25, color=theme.orange, linewidth=0.8, linestyle=":")
    slopes.annotate("0.25", (-4, 0.25), xytext=(0, 3), textcoords="offset points", color=theme.orange)
    drawn = {
        "sigmoid": (theme.orange, "o-"),
        "sigmoid, weights x 8": (theme.orange, "s--"),
        "relu": (theme.pink, "o-"),
        "relu, variance x 1/2": (theme.pink, "s--"),
    }
    for row in (row for row in data if "depth" in row):
        colour, style = drawn[row["name"]]
        depths.plot(row["depth"], row["ratio"], style, color=colour, markersize=4, linewidth=1.2, label=row["name"])
    _logarithmic(depths)
    depths.set_ylim(bottom=1e-24)  # room for the legend
    depths.set_xticks([2, 5, 10, 15, 20])
    depths.set_xlabel("layers")
    depths.legend(loc="lower left")
    return figure


def _convolution(data: Rows, theme: Theme) -> Figure:
    (row,) = data
    titles = ("Side of the output, 3x3 filter, no padding", "Maps moved by a shift of the input, %")
    figure, (sides, shifts) = _panels((1.3, 1), 3.2, titles)
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


def _tasks(data: Rows, theme: Theme) -> Figure:
    (row,) = data
    figure, panels = _panels((1, 1, 1), 2.4, ("Detection: a box each", "Semantic: a class each pixel", "Instance: objects apart"), 0.02)
    classes, objects = np.asarray(row["classes"]), np.asarray(row["objects"])
    by_class = ListedColormap([theme.grid, theme.blue, theme.orange])
    _image(panels[0], classes, theme, cmap=by_class, alpha=0.35)
    _image(panels[1], classes, theme, cmap=by_class)
    _image(panels[2], objects, theme, cmap=ListedColormap([theme.grid, theme.blue, theme.green, theme.orange]))
    for number in range(1, objects.max() + 1):
        ys, xs = np.nonzero(objects == number)
        kind = "cat" if classes[ys[0], xs[0]] == 1 else "dog"
        left, right, top, bottom = xs.min() - 0.5, xs.max() + 0.5, ys.min() - 0.5, ys.max() + 0.5
        panels[0].plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=theme.ink, linewidth=1.5)
        inks = (theme.ink, "black", "black")
        for axes, label, ink in zip(panels, (kind, kind, f"{kind} {number}"), inks, strict=True):
            axes.text(xs.mean(), ys.mean(), label, ha="center", va="center", color=ink, fontsize=8, fontweight="bold")
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _mnist(data: Rows, theme: Theme) -> Figure:
    sets = list(dict.fromkeys(row["data"] for row in data))
    figure, panels = _panels([1] * len(sets), 3.4, [f"Error on {name}, %: test bold, training thin" for name in sets])
    colours = {"lenet5": theme.orange, "lenet5-modern": theme.blue, "resnet20": theme.green}
    for axes, name in zip(panels, sets, strict=True):
        for row in (row for row in data if row["data"] == name):
            colour = colours[row["network"]]
            axes.plot(row["train_epoch"], row["train"], color=colour, linewidth=0.8)
            axes.plot(row["test_epoch"], row["test"], color=colour, linewidth=1.9, label=f"{row['network']} ({row['end']:.2f} %)")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        lowest = min(row["end"] for row in data if row["data"] == name)
        axes.set_ylim(lowest / 4, 100)
        axes.set_xlabel("passes over the training set")
        axes.legend(loc="upper right")
    return figure


def _alexnet(data: Rows, theme: Theme) -> Figure:
    figure, (normalised, errors) = _panels((1.3, 1), 3.2, ("A value after response normalisation", "Printed top-5 error, ILSVRC-2012, %"))
    for row, colour in zip(data[:-1], (theme.blue, theme.orange, theme.pink), strict=True):
        normalised.plot(row["value"], row["normalised"], color=colour, linewidth=1.4, label=row["name"])
    normalised.set_xlabel("the value, and that of its neighbours")
    normalised.legend(loc="lower right")
    found = data[-1]["numbers"]
    bars = {
        "1 network, validation": (found["one_val"], theme.faint),
        "5 networks, test": (found["five_test"], theme.faint),
        "7 networks, validation": (found["seven_val"], theme.orange),
        "7 networks, test": (found["seven_test"], theme.blue),
        "second place, test": (found["runner_up_test"], theme.blue),
    }
    errors.grid(visible=False)
    for number, (label, (value, colour)) in enumerate(bars.items()):
        errors.barh(number, value, height=0.66, color=colour, alpha=0.45, linewidth=0)
        errors.annotate(f"{value} ", (value, number), ha="right", va="center", color=theme.ink, fontsize=8, fontweight="bold")
        errors.annotate(f" {label}", (0, number), ha="left", va="center", color=theme.ink, fontsize=8)
    errors.set_yticks([])
    errors.invert_yaxis()
    return figure


def _vgg(data: Rows, theme: Theme) -> Figure:
    fields, lines = [row for row in data if "field" in row], [row for row in data if "weights" in row]
    figure, panels = _panels((1, 1, 1, 1.7), 2.6, [f"Field of {row['name']}" for row in fields] + ["Weights by channels, millions"])
    for axes, row in zip(panels, fields, strict=False):
        _image(axes, row["field"], theme)
        axes.set_xticks([])
        axes.set_yticks([])
    for row, colour in zip(lines, (theme.orange, theme.blue, theme.green), strict=True):
        panels[-1].plot(row["channels"], [weights / 1e6 for weights in row["weights"]], "o-", color=colour, markersize=4, label=row["name"])
    panels[-1].set_xticks(lines[0]["channels"])
    panels[-1].legend(loc="upper left")
    return figure


def _resnet(data: Rows, theme: Theme) -> Figure:
    figure, (errors, norms) = _panels((1, 1.1), 3.2, ("Printed test error on CIFAR-10, %", "Norm of each layer's gradient at the start"))
    printed = data[-1]["numbers"]
    shown = {f"{name}{depth}" for name in ("plain", "resnet") for depth in (20, 32, 44, 56, 110)}
    for name, colour in (("plain", theme.orange), ("resnet", theme.blue)):
        points = {int(key.removeprefix(name)): value for key, value in printed.items() if key.startswith(name) and key in shown}
        errors.plot(list(points), list(points.values()), "o-", color=colour, markersize=4, label=name)
    errors.set_xlabel("layers")
    errors.set_ylim(0, None)
    errors.legend(loc="lower right")
    for row, colour in zip((row for row in data if "norms" in row), (theme.orange, theme.blue), strict=True):
        norms.plot(range(1, len(row["norms"]) + 1), row["norms"], color=colour, linewidth=1.3, label=row["name"])
    _logarithmic(norms)
    norms.set_xlabel("layer")
    norms.legend(loc="upper right")
    return figure


#: By the stem of the chart.
SLIDES: dict[str, Callable[[Rows, Theme], Figure]] = {
    f"lecture-{name}": draw
    for name, draw in {
        "perceptron": _perceptron,
        "activations": _activations,
        "convolution": _convolution,
        "tasks": _tasks,
        "mnist": _mnist,
        "alexnet": _alexnet,
        "vgg": _vgg,
        "resnet": _resnet,
    }.items()
}
