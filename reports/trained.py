"""What the figures of the degradation experiment show: their data, by experiment, and their description in words.

Nothing here draws; ``reports.curves`` does.
"""

from __future__ import annotations

import csv
import functools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from reports import wording
from reports.charts import STYLE, Chart
from repro.degradation import PLAIN_GAP, RESIDUAL_GAP, Experiment, Measure, experiments, label, measure_gap
from repro.recipe import PAPER_ITERATIONS, depth_of
from repro.records import Curve, Record

FOLDER = Path(__file__).parent
CURVES_STYLE = STYLE + (FOLDER / "curves.py").read_text(encoding="utf-8")
KINDS = {
    "curves": "Training and test error",
    "gaps": "Gaps between 56 and 20 layers",
    "gradients": "Gradient norms",
    "responses": "Standard deviation of layer responses",
}
MEASURED_GAPS: tuple[Measure, ...] = ("training error", "training error, evaluation mode", "test error", "training loss")

Kind = Literal["train", "test"]

#: As many points of a curve as a picture of this width shows.
MOST_POINTS = 100
TINY = 1e-12


@dataclass(frozen=True)
class Trained:
    """An experiment with the name that its figures have."""

    name: str
    experiment: Experiment

    def stem(self, kind: str) -> str:
        """The stem of a figure of this experiment."""
        return f"degradation-{self.name}-{kind}"

    def charts(self) -> Iterator[Chart]:
        """Its figures; those without data are left out."""
        for kind, title in KINDS.items():
            if data := _DATA[kind](self.experiment):
                yield Chart(self.stem(kind), f"{title}: {label(self.experiment)}", data, kind, CURVES_STYLE)


def name_experiments(records: Iterable[Record]) -> tuple[Trained, ...]:
    """The experiments, each with a name of its own: ``digits-1200``, ``cifar10-64000-validation``."""
    named: list[Trained] = []
    seen: Counter[str] = Counter()
    for experiment in experiments(records):
        name = f"{experiment.data.name}-{experiment.recipe.iterations}{'-validation' if experiment.validation else ''}"
        seen[name] += 1
        named.append(Trained(name if seen[name] == 1 else f"{name}-{seen[name]}", experiment))
    return tuple(named)


def charts_of(records: Iterable[Record]) -> tuple[Chart, ...]:
    """The figures of every experiment."""
    return tuple(chart for one in name_experiments(records) for chart in one.charts())


# ---------------------------------------------------------------- the paper's own


def is_cifar10(experiment: Experiment) -> bool:
    """Whether the paper's curves are of the same images, re-encoded ones included."""
    return experiment.data.name.startswith("cifar10") and not experiment.data.name.startswith("cifar100")


def papers_curve(network: str, kind: Kind) -> tuple[list[int], list[float]]:
    """Iterations and errors in per cent of a network in H15 Figure 6; empty lists where it isn't drawn."""
    panel, depth = ("resnet" if network.startswith("resnet") else "plain"), depth_of(network)
    rows = [row for row in _published("fig6_curves.csv") if (row["panel"], row["depth"], row["kind"]) == (panel, str(depth), kind)]
    return [int(row["iteration"]) for row in rows], [float(row["error_pct"]) for row in rows]


def papers_last(network: str, kind: Kind) -> float | None:
    """The mean of the last ten points of a curve of H15 Figure 6: its last 10,000 iterations."""
    errors = papers_curve(network, kind)[1][-10:]
    return statistics.fmean(errors) if errors else None


def papers_responses(network: str) -> tuple[list[int], list[float]]:
    """Layer numbers and standard deviations of a network in H15 Figure 7; empty lists where it isn't drawn."""
    name = network.replace("resnet", "ResNet-").replace("plain", "plain-")
    rows = [row for row in _published("fig7_std.csv") if row["net"] == name]
    return [round(float(row["layer_index"])) for row in rows], [float(row["std"]) for row in rows]


@functools.cache
def _published(file: str) -> list[dict[str, str]]:
    with (FOLDER / "published" / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


# ---------------------------------------------------------------- data


def data_of_curves(experiment: Experiment) -> list[dict[str, Any]]:
    """A head, then a line for each network and kind: the mean over seeds with the range; and the paper's on the same width."""
    iterations = experiment.recipe.iterations
    rows: list[dict[str, Any]] = []
    for network in with_runs(experiment):
        runs = _runs(experiment, network)
        about = {"panel": "Residual" if network.startswith("resnet") else "Plain", "network": network}
        for kind, curves in (("train", [run.curves.train for run in runs]), ("test", [run.curves.test for run in runs])):
            rows.append({**about, "kind": kind, "source": "here", "seeds": len(runs), **_banded(curves)})
        for kind in get_args(Kind):
            x, mean = papers_curve(network, kind) if is_cifar10(experiment) else ([], [])
            if x:
                stretched = [round(iteration * iterations / PAPER_ITERATIONS) for iteration in x]
                rows.append({**about, "kind": kind, "source": "paper", "x": stretched, "mean": mean})
    return [{"label": label(experiment), "iterations": iterations}, *rows] if rows else []


def data_of_gaps(experiment: Experiment) -> list[dict[str, Any]]:
    """A head, then a bar for each measure and each pair of networks that has a seed."""
    rows = []
    for measure in MEASURED_GAPS:
        for panel, contrast in (("plain", PLAIN_GAP), ("residual", RESIDUAL_GAP)):
            gap = measure_gap(experiment, contrast, measure)
            if gap.values:
                ends = [_short(gap.paired.low), _short(gap.paired.high)] if gap.paired else None
                rows.append({"measure": measure, "panel": panel, "values": [_short(value) for value in gap.values], "interval": ends})
    return [{"label": label(experiment)}, *rows] if rows else []


def data_of_gradients(experiment: Experiment) -> list[dict[str, Any]]:
    """A head, then for each network its norms by layer at the first and last iteration with gradients, and the ratio over time."""
    rows = []
    for network in with_runs(experiment):
        runs = [run for run in _runs(experiment, network) if run.gradients.norm]
        if runs:
            first, end = ([_geometric(column) for column in zip(*(run.gradients.norm[at] for run in runs), strict=True)] for at in (0, -1))
            ratios = [_ratios(run) for run in runs]
            points = [[_short(value) for value in _geometric(column)] for column in zip(*ratios, strict=False)]
            row = {"network": network, "first": [_short(point[0]) for point in first], "last": [_short(point[0]) for point in end]}
            rows.append({**row, "iteration": list(runs[0].gradients.iteration[: len(points)]), "ratio": points})
    return [{"label": label(experiment)}, *rows] if rows else []


def data_of_responses(experiment: Experiment) -> list[dict[str, Any]]:
    """A head, then for each network the standard deviation by layer, and the paper's."""
    rows = []
    for network in with_runs(experiment):
        found = [run.responses.std for run in _runs(experiment, network) if run.responses and run.responses.std]
        if found:
            layers = [
                [_short(value) for value in (statistics.fmean(column), min(column), max(column))] for column in zip(*found, strict=True)
            ]
            numbers, paper = papers_responses(network)
            rows.append({"network": network, "std": layers, "paper_layers": numbers, "paper_std": paper})
    return [{"label": label(experiment)}, *rows] if rows else []


def gradient_ratio(experiment: Experiment, network: str, at: int) -> float | None:
    """Norm of the first layer's gradient over the last convolution's, the geometric mean over seeds; ``at`` is 0 (first) or -1."""
    ratios = [_ratios(run)[at] for run in _runs(experiment, network) if run.gradients.norm]
    return _short(_geometric(ratios)[0]) if ratios else None


def mean_response(experiment: Experiment, network: str) -> float | None:
    """The standard deviation of the responses, averaged over layers and seeds."""
    found = [run.responses.std for run in _runs(experiment, network) if run.responses and run.responses.std]
    return statistics.fmean(statistics.fmean(std) for std in found) if found else None


# ---------------------------------------------------------------- words


def alt_text(kind: str, experiment: Experiment) -> str:
    """A figure in words."""
    about, parts = label(experiment), list(_alt_parts(kind, experiment))
    ends = f" Here {wording.joined(parts)}." if parts else ""
    return f"{_SHOWN[kind]}; {about}, {wording.several(_most_seeds(experiment), 'seed')}.{ends}"


_SHOWN = {
    "curves": "Error in per cent by iteration, training thin and test bold, plain networks on the left and residual ones on the right",
    "gaps": "Gap between 56 and 20 layers of the plain and of the residual networks, a dot for each seed and the 95 % interval of the mean",
    "gradients": "L2 norm of the gradient of each layer's weights at the first and the last iteration measured, and the norm of the first "
    "layer over that of the last convolution through training",
    "responses": "Standard deviation of the output of each 3x3 convolution after batch normalisation, with the paper's of Figure 7 dotted",
}


def _alt_parts(kind: str, experiment: Experiment) -> Iterator[str]:
    if kind == "gaps":
        for word, contrast in (("plain", PLAIN_GAP), ("residual", RESIDUAL_GAP)):
            mean = measure_gap(experiment, contrast, "training error").mean
            if mean is not None:
                yield f"the {word} gap of the running training error is {mean:+.1f} points"
        return
    for network in with_runs(experiment):
        if kind == "curves":
            train, test = (statistics.fmean(experiment.values(network, measure)) for measure in ("training error", "test error"))
            yield f"{network} ends at {train:.1f} % training and {test:.1f} % test error"
        elif kind == "gradients" and (ratio := gradient_ratio(experiment, network, -1)) is not None:
            yield f"the last ratio of {network} is {wording.rounded(ratio)}"
        elif kind == "responses" and (std := mean_response(experiment, network)) is not None:
            yield f"{network} has a mean of {std:.2f} over layers"


# ---------------------------------------------------------------- parts


def with_runs(experiment: Experiment) -> list[str]:
    """The networks that have a finished run."""
    return [network for network in experiment.networks if experiment.finished(network)]


def _runs(experiment: Experiment, network: str) -> list[Record]:
    return [record for _, record in sorted(experiment.finished(network).items())]


def _most_seeds(experiment: Experiment) -> int:
    return max((len(experiment.finished(network)) for network in experiment.networks), default=0)


def _banded(curves: Sequence[Curve]) -> dict[str, list[float]]:
    """Mean, lowest and highest error over seeds, at no more points than a picture shows; a point is the mean of those that it replaces."""
    length = min(len(curve.iteration) for curve in curves)
    step = math.ceil(length / MOST_POINTS) or 1
    starts = range(length % step, length, step)
    thinned = [[statistics.fmean(curve.error[start : start + step]) for start in starts] for curve in curves]
    columns = list(zip(*thinned, strict=True))
    band = {name: [_short(take(column)) for column in columns] for name, take in _TAKES.items()}
    return {"x": [curves[0].iteration[start + step - 1] for start in starts], **band}


_TAKES: dict[str, Callable[[Sequence[float]], float]] = {"mean": statistics.fmean, "low": min, "high": max}


def _ratios(run: Record) -> list[float]:
    last = _last_convolution(run)
    return [max(norms[0], TINY) / max(norms[last], TINY) for norms in run.gradients.norm]


def _last_convolution(run: Record) -> int:
    return max(number for number, layer in enumerate(run.gradients.layers) if layer != "fc")


def _geometric(values: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean, lowest and highest."""
    clipped = [max(value, TINY) for value in values]
    return statistics.geometric_mean(clipped), min(clipped), max(clipped)


def _short(value: float) -> float:
    """Four significant digits: more than a picture shows."""
    return float(f"{value:.4g}")


_DATA: dict[str, Callable[[Experiment], list[dict[str, Any]]]] = {
    "curves": data_of_curves,
    "gaps": data_of_gaps,
    "gradients": data_of_gradients,
    "responses": data_of_responses,
}
