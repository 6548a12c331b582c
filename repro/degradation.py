"""The degradation experiment (H15 section 4.2): what it must show, written down as data, and the statistics that judge it.

Pure functions over records; nothing here trains or reads a file. Errors are in per cent, gaps of errors in points.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from repro.intervals import Interval, paired_interval, upper_end, welch_interval
from repro.recipe import NETWORKS, PAPER_ITERATIONS, Recipe, paper_recipe
from repro.records import Curve, Data, Record

FEWEST_SEEDS = 3

Measure = Literal["training error", "training loss", "training error, evaluation mode", "test error"]
Verdict = Literal["holds", "does not hold", "not judged"]

#: A contrast is a sum of networks with these signs.
PLAIN_GAP: Mapping[str, int] = {"plain56": 1, "plain20": -1}
RESIDUAL_GAP: Mapping[str, int] = {"resnet56": 1, "resnet20": -1}
INTERACTION: Mapping[str, int] = {"plain56": 1, "plain20": -1, "resnet56": -1, "resnet20": 1}


@dataclass(frozen=True)
class Criterion:
    """What must be seen, fixed before the runs.

    With ``sides`` 2 the lower end of the two-sided 95 % interval must be above ``margin``; with ``sides`` 1 the upper end of
    the one-sided 95 % interval must be below it. ``margin`` is in points, or in nats where the measure is a loss.
    """

    id: str
    sentence: str
    measure: Measure
    contrast: Mapping[str, int]
    margin: float = 0.0
    sides: Literal[1, 2] = 2
    papers_recipe_only: bool = False


CRITERIA = (
    Criterion("plain-degrades", "plain56 ends above plain20 on running training error", "training error", PLAIN_GAP),
    Criterion(
        "residual-gap-smaller", "the residual gap is smaller than the plain gap on running training error", "training error", INTERACTION
    ),
    Criterion(
        "residual-gap-smaller-loss", "the residual gap is smaller than the plain gap on running training loss", "training loss", INTERACTION
    ),
    Criterion(
        "residual-not-inferior",
        "resnet56 is not inferior to resnet20 on running training error, by a margin of 0.5 points",
        "training error",
        RESIDUAL_GAP,
        margin=0.5,
        sides=1,
        papers_recipe_only=True,
    ),
)


@dataclass(frozen=True)
class Gap:
    """A contrast measured seed by seed. ``paired`` is Student's interval of the mean of ``values``, ``welch`` the unpaired one
    over every finished run; both are None with fewer than FEWEST_SEEDS. ``upper`` is the one-sided upper end.
    ``left_out`` says which seeds have a run but no pair, and why."""

    measure: Measure
    contrast: Mapping[str, int]
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    paired: Interval | None
    upper: float | None
    welch: Interval | None
    left_out: tuple[str, ...]

    @property
    def mean(self) -> float | None:
        """The mean gap; None without a pair."""
        return statistics.fmean(self.values) if self.values else None


@dataclass(frozen=True)
class Finding:
    """A criterion, the gap that it is judged on, and the verdict with its reason."""

    criterion: Criterion
    gap: Gap
    verdict: Verdict
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        return {**asdict(self), "mean": self.gap.mean}


@dataclass(frozen=True)
class Protocols:
    """Test errors of one run under three protocols: the last iteration (the paper's), the iteration with the lowest validation error
    (the earliest of equals; None without validation images), and the lowest test error of all."""

    last: float
    selected: float | None
    best: float


@dataclass(frozen=True)
class Experiment:
    """Runs on the same data and split with the same recipe, a warm-up set aside: one for each network and seed.

    ``repeats`` are further records of the same run, from another machine; they are counted and not used.
    """

    records: tuple[Record, ...]
    repeats: tuple[Record, ...] = ()

    @property
    def data(self) -> Data:
        """The data of each run."""
        return self.records[0].data

    @property
    def recipe(self) -> Recipe:
        """The recipe of each run, without warm-up."""
        return _without_warm_up(self.records[0].recipe)

    @property
    def validation(self) -> bool:
        """Whether a part of the training set was kept for validation."""
        return self.data.validation > 0

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that ran, the four of the experiment first."""
        others = sorted({record.network for record in self.records} - set(NETWORKS), key=lambda name: (len(name), name))
        return (*(name for name in NETWORKS if any(record.network == name for record in self.records)), *others)

    @property
    def failed(self) -> tuple[Record, ...]:
        """The runs that ended because a loss wasn't finite."""
        return tuple(record for record in self.records if record.outcome != "finished")

    def finished(self, network: str) -> dict[int, Record]:
        """The finished runs of a network by seed."""
        return {record.seed: record for record in self.records if record.network == network and record.outcome == "finished"}

    def values(self, network: str, measure: Measure) -> tuple[float, ...]:
        """A measure of each finished run of a network, in the order of the seeds."""
        return tuple(MEASURES[measure](record) for _, record in sorted(self.finished(network).items()))

    def to_json(self) -> dict[str, Any]:
        """The experiment with its findings, as JSON types."""
        return {
            "data": self.data.model_dump(mode="json"),
            "label": label(self),
            "recipe": asdict(self.recipe),
            "validation": self.validation,
            "hardware": sorted({record.environment.hardware for record in self.records}),
            "not_finite": [{"network": run.network, "seed": run.seed, "reason": run.reason} for run in self.failed],
            "repeats": len(self.repeats),
            "networks": {name: self._network_to_json(name) for name in self.networks},
            "findings": [finding.to_json() for finding in judge(self)],
        }

    def _network_to_json(self, network: str) -> dict[str, Any]:
        runs = [record for _, record in sorted(self.finished(network).items())]
        measured: dict[str, Any] = {measure: list(self.values(network, measure)) for measure in MEASURES}
        return {"seeds": [run.seed for run in runs], **measured, "protocols": [asdict(protocols(run)) for run in runs]}


def experiments(records: Iterable[Record]) -> tuple[Experiment, ...]:
    """The records by data (name, checksum, split), recipe and number of processes a run, small images and short runs first.

    Where a run was made on several machines, the one with most runs of the experiment gives the record.
    """
    groups: dict[tuple[Data, Recipe, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.data, _without_warm_up(record.recipe), record.settings.world), []).append(record)
    found = [_experiment(group) for group in groups.values()]
    return tuple(
        sorted(found, key=lambda one: (one.data.shape[-1], one.data.name, one.recipe.iterations, one.validation, repr(one.recipe)))
    )


def judge(experiment: Experiment) -> tuple[Finding, ...]:
    """Each criterion on this experiment."""
    return tuple(_judge_one(experiment, criterion) for criterion in CRITERIA)


def measure_gap(experiment: Experiment, contrast: Mapping[str, int], measure: Measure) -> Gap:
    """A contrast, paired by seed, with its intervals."""
    runs = {network: experiment.finished(network) for network in contrast}
    seeds = tuple(sorted(set.intersection(*(set(found) for found in runs.values()))))
    values = tuple(sum(sign * MEASURES[measure](runs[network][seed]) for network, sign in contrast.items()) for seed in seeds)
    enough = len(seeds) >= FEWEST_SEEDS
    return Gap(
        measure=measure,
        contrast=contrast,
        seeds=seeds,
        values=values,
        paired=paired_interval(values) if enough else None,
        upper=upper_end(values) if enough else None,
        welch=welch_interval([(sign, experiment.values(name, measure)) for name, sign in contrast.items()]) if enough else None,
        left_out=tuple(_left_out(experiment, contrast, seeds)),
    )


def protocols(record: Record) -> Protocols:
    """The test error under each protocol of choosing an iteration."""
    test, validation = record.curves.test, record.curves.validation
    selected = None
    if validation is not None and validation.error:
        chosen = validation.iteration[validation.error.index(min(validation.error))]
        selected = dict(zip(test.iteration, test.error, strict=True)).get(chosen)
    return Protocols(test.error[-1], selected, min(test.error))


def label(experiment: Experiment) -> str:
    """What a run is, beside the paper's: ``1,200 of the paper's 64,000 iterations, digits, 8x8``."""
    iterations, data = experiment.recipe.iterations, experiment.data
    paper = f"the paper's {PAPER_ITERATIONS:,d} iterations"
    run = paper if iterations == PAPER_ITERATIONS else f"{iterations:,d} of {paper}" if iterations < PAPER_ITERATIONS else ""
    run = run or f"{iterations:,d} iterations, the paper's are {PAPER_ITERATIONS:,d}"
    world = experiment.records[0].settings.world
    more = [f"{world} processes a run"] if world > 1 else []
    more += [f"{data.validation:,d} training images held out for validation"] if data.validation else []
    return ", ".join([run, data.name, f"{data.shape[1]}x{data.shape[2]}", *more, *departures(experiment.recipe)])


def departures(used: Recipe) -> tuple[str, ...]:
    """In what a recipe isn't the paper's scaled in length: ``batch 64, not 128``. Padding and mirroring belong to the data."""
    paper = paper_recipe(20, used.iterations)
    given = [
        field.name
        for field in fields(Recipe)
        if field.name not in ("pad", "mirror", "log_every", "test_every", "warm_up_lr", "warm_up_error")
    ]
    names = [name for name in given if getattr(used, name) != getattr(paper, name)]
    return tuple(f"{name.replace('_', ' ')} {getattr(used, name)}, not {getattr(paper, name)}" for name in names)


def why_not_the_papers(experiment: Experiment) -> str | None:
    """Why an experiment isn't the paper's: scaled, on other data, or with other settings; None where it is."""
    used, data = experiment.recipe, experiment.data
    if used.iterations != PAPER_ITERATIONS:
        return f"scaled run: {label(experiment)}"
    if data.name != "cifar10":
        return f"the data is {data.name}, not CIFAR-10"
    other = (*departures(used), *(() if used.pad == 4 else (f"padding {used.pad}, not 4",)), *(() if used.mirror else ("no mirroring",)))
    return f"not the paper's recipe: {'; '.join(other)}" if other else None


def _judge_one(experiment: Experiment, criterion: Criterion) -> Finding:
    gap = measure_gap(experiment, criterion.contrast, criterion.measure)
    other = why_not_the_papers(experiment) if criterion.papers_recipe_only else None
    if other or gap.paired is None or gap.upper is None:
        count = len(gap.seeds)
        few = f"only {count} {'seed has' if count == 1 else 'seeds have'} all the runs that this needs; {FEWEST_SEEDS} are required"
        return Finding(criterion, gap, "not judged", _with_left_out(other or few, gap))
    margin = f"{criterion.margin:g}"
    if criterion.sides == 1:
        holds = gap.upper < criterion.margin
        reason = f"the upper end of the one-sided 95 % interval, {gap.upper:.3g}, is {'below' if holds else 'not below'} {margin}"
    else:
        holds = gap.paired.low > criterion.margin
        lies = "lies above" if holds else "lies below" if gap.paired.high < criterion.margin else "includes"
        reason = f"the 95 % interval, {gap.paired.low:.3g} to {gap.paired.high:.3g}, {lies} {margin}"
    return Finding(criterion, gap, "holds" if holds else "does not hold", _with_left_out(reason, gap))


def _with_left_out(reason: str, gap: Gap) -> str:
    return "; ".join([reason, *(f"left out: {why}" for why in gap.left_out)])


def _left_out(experiment: Experiment, contrast: Mapping[str, int], paired: tuple[int, ...]) -> Iterable[str]:
    """Each seed that has a run and isn't paired."""
    runs = {(record.network, record.seed): record for record in experiment.records if record.network in contrast}
    for seed in sorted({seed for _, seed in runs} - set(paired)):
        whys = []
        for network in contrast:
            run = runs.get((network, seed))
            if run is None:
                whys.append(f"no run of {network}")
            elif run.outcome != "finished":
                whys.append(f"{network} is not finite ({run.reason})")
        yield f"seed {seed}, {' and '.join(whys)}"


def _experiment(group: list[Record]) -> Experiment:
    machines = Counter(record.environment.hardware for record in group)
    ordered = sorted(group, key=lambda run: (-machines[run.environment.hardware], run.environment.hardware, run.network, run.seed))
    kept: dict[tuple[str, int], Record] = {}
    for record in ordered:
        kept.setdefault((record.network, record.seed), record)
    return Experiment(tuple(kept.values()), tuple(record for record in ordered if kept[record.network, record.seed] is not record))


def _without_warm_up(used: Recipe) -> Recipe:
    """A network of 110 layers warms up, and belongs to the same experiment."""
    return replace(used, warm_up_lr=None)


def _last_stretch(record: Record, values: Callable[[Curve], Sequence[float]]) -> float:
    """The mean over the iterations that count; each point of a curve stands for the iterations since the one before."""
    curve = record.curves.train
    starts = (0, *curve.iteration[:-1])
    points = list(zip(starts, curve.iteration, values(curve), strict=True))
    counted = [point for point in points if point[0] >= record.recipe.last_stretch] or points[-1:]
    return sum((end - start) * value for start, end, value in counted) / sum(end - start for start, end, _ in counted)


def _whole_train(record: Record) -> float:
    return record.whole_train.error if record.whole_train is not None else math.nan


MEASURES: Mapping[Measure, Callable[[Record], float]] = {
    "training error": lambda record: _last_stretch(record, lambda curve: curve.error),
    "training loss": lambda record: _last_stretch(record, lambda curve: curve.loss),
    "training error, evaluation mode": _whole_train,
    "test error": lambda record: record.curves.test.error[-1],
}
