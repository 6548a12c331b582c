"""degradation.md: plain against residual networks at 20 and 56 layers, each experiment with its verdicts, figures and tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import anchor, code, document, link, picture, remake, table, text
from reports.pages.signals import gradients_section, responses_section
from reports.trained import Trained, alt_text, data_of_gaps, is_cifar10, name_experiments, papers_last, with_runs
from repro.degradation import (
    CRITERIA,
    FEWEST_SEEDS,
    Criterion,
    Experiment,
    Finding,
    Measure,
    judge,
    label,
    protocols,
    why_not_the_papers,
)
from repro.intervals import Interval
from repro.recipe import NETWORKS, PAPER_ITERATIONS
from repro.records import DATA_NAMES

TITLE = "Degradation: is deeper worse?"
ABOUT = "Plain against residual networks at 20 and 56 layers, trained here: verdicts, curves, gradients and responses, beside the paper's."
LEAD = """\
H15 section 4.2 trains plain and residual networks of 20 to 110 layers on CIFAR-10. The deeper plain network has the higher *training* \
error, which overfitting can't explain; the residual networks don't show this. Each section below is one experiment: the same data and \
recipe for each network and seed. A scaled run is not the paper's, and its label stands with its numbers."""
PROTOCOLS = """\
*Running* is the training error of the last stretch (the last 1,000 of 64,000 iterations, or the last eighth of a shorter run): \
augmented images, batch normalisation in training mode. The criteria judge it. *Evaluation mode* is the whole training set, not \
augmented, after the last iteration. *Last* is the test error after the last iteration, as the paper reports it. *Selected* is the test \
error at the iteration with the lowest validation error, and *best* the lowest test error of all. *Flatters* is how many points lower \
than *last* the protocol reports."""

#: Above this running training error in per cent, on data that is easier than CIFAR-10, a network hasn't trained.
FAILS = 20.0

EXPECTED = {
    "digits": "repro degradation --data digits --seeds 5",
    "mnist": "repro degradation --data mnist --seeds 5",
    "cifar10": f"repro degradation --data cifar10 --seeds 5 --iterations {PAPER_ITERATIONS}",
}


def write_degradation(judged: Judged) -> str:
    """The page."""
    trained = name_experiments(judged.records)
    return document(
        TITLE,
        LEAD,
        "## Criteria, written down before the runs",
        "\n".join(map(_rule, CRITERIA)),
        f"Runs are paired by seed: the four networks of a seed see the same images in the same order. With fewer than {FEWEST_SEEDS} "
        "paired seeds there is no interval and no verdict. A run whose loss isn't finite is named, and its seed is left out.",
        "## Verdicts",
        *_overview(trained),
        *(part for one in trained for part in _section(judged, one)),
        *_missing(trained),
        source="reports/records/",
    )


def _rule(criterion: Criterion) -> str:
    judged = (
        f"the upper end of the one-sided 95 % interval of the mean gap is below {criterion.margin:g}"
        if criterion.sides == 1
        else f"the lower end of the two-sided 95 % interval of the mean gap is above {criterion.margin:g}"
    )
    only = f" Judged only on the paper's recipe: {PAPER_ITERATIONS:,d} iterations on CIFAR-10." if criterion.papers_recipe_only else ""
    return f"- **{criterion.id}**: {text(criterion.sentence)}. The gap is {_expression(criterion)}. It holds if {judged}.{only}"


def _expression(criterion: Criterion) -> str:
    """``plain56 - plain20 - resnet56 + resnet20``"""
    signs = {1: "+", -1: "\N{MINUS SIGN}"}
    return " ".join(f"{signs[sign]} {network}" for network, sign in criterion.contrast.items()).removeprefix("+ ")


def _overview(trained: tuple[Trained, ...]) -> Iterator[str]:
    rows = (
        [link(text(label(one.experiment)), f"#{anchor(_heading(one))}"), *(_verdict(finding) for finding in judge(one.experiment))]
        for one in trained
    )
    if trained:
        yield table(["run", *(criterion.id for criterion in CRITERIA)], rows)
        yield remake(*(_command(one.experiment) for one in trained))
        yield from _untrained(trained)
    else:
        yield f"No record yet: {code(EXPECTED['digits'])} makes the first."


def _untrained(trained: tuple[Trained, ...]) -> Iterator[str]:
    """Which scaled runs exaggerate the effect, since plain56 doesn't get anywhere in them."""
    ends = {one.name: one.experiment.values("plain56", "training error") for one in trained if why_not_the_papers(one.experiment)}
    failing = [
        f"{text(name)} ({statistics.fmean(values):.1f} %)" for name, values in ends.items() if values and statistics.fmean(values) > FAILS
    ]
    if failing:
        yield (
            f"In {wording.joined(failing)} plain56 hardly trains at all in so few iterations; in brackets its running training error. Its "
            "gap is far larger there than the paper's, and shows the direction of the effect, not its size."
        )


def _verdict(finding: Finding) -> str:
    return finding.verdict if finding.verdict == "not judged" else f"**{finding.verdict}**"


def _heading(one: Trained) -> str:
    """Unique, since names are: ``digits-1200``."""
    return one.name


def _section(judged: Judged, one: Trained) -> Iterator[str]:
    experiment, remade = one.experiment, remake(_command(one.experiment))
    caption = f"{label(experiment)}:"
    yield f"## {text(_heading(one))}"
    yield _about(experiment)
    yield from _remarks(experiment)
    if not any(experiment.finished(network) for network in experiment.networks):
        return
    yield picture(f"figures/{one.stem('curves')}", alt_text("curves", experiment))
    yield text(caption)
    yield table(
        ["criterion", "mean gap >", "95 % interval, paired >", "Welch >", "seeds >", "verdict", "why"], map(_finding, judge(experiment))
    )
    yield remade
    if data_of_gaps(experiment):
        yield picture(f"figures/{one.stem('gaps')}", alt_text("gaps", experiment))
    yield "### Errors by network"
    yield PROTOCOLS
    if is_cifar10(experiment):
        yield f"*The paper's* are means of the last ten points of Figure 6: CIFAR-10, the last 10,000 of {PAPER_ITERATIONS:,d} iterations."
    yield text(caption)
    yield _errors(judged, experiment)
    yield remade
    if not experiment.validation:
        yield f"*Selected* needs validation images: {code(f'{_command(experiment)} --validation')}."
    yield from gradients_section(one, caption, remade)
    yield from responses_section(one, caption, remade)


def _about(experiment: Experiment) -> str:
    recipe, data = experiment.recipe, experiment.data
    drops = wording.joined([f"{drop:,d}" for drop in recipe.drops])
    augmented = f"padding {recipe.pad} and random crops, {'mirrored at random' if recipe.mirror else 'not mirrored'}"
    kept = f"{data.validation:,d} more kept for validation" if experiment.validation else "none kept for validation"
    settings = {
        f"{run.settings.device}, {run.settings.dtype}, {wording.several(run.settings.world * run.settings.threads, 'thread')}"
        for run in experiment.records
    }
    machines = {run.environment.hardware for run in experiment.records}
    seeds = {name: len(experiment.finished(name)) for name in experiment.networks}
    runs = wording.joined([f"{name} {wording.several(count, 'seed')}" for name, count in seeds.items()])
    return text(
        f"{label(experiment)}. Batch {recipe.batch}, learning rate {recipe.lr:g}, multiplied by {recipe.drop_factor:g} after {drops} "
        f"iterations, momentum {recipe.momentum:g}, weight decay {recipe.weight_decay:g}; {augmented}. {data.train:,d} training images, "
        f"{kept}, {data.test:,d} test images; data checksum {data.checksum[:12]}. Finished: {runs}. Hardware: "
        f"{'; '.join(sorted(machines))} ({'; '.join(sorted(settings))})."
    )


def _remarks(experiment: Experiment) -> Iterator[str]:
    """What a reader must know before the numbers: failed runs, repeats, and how far this is from Figure 6."""
    for run in experiment.failed:
        yield text(f"Not finite: {run.network}, seed {run.seed}: {run.reason}. Its seed is left out wherever this run would be needed.")
    if experiment.repeats:
        yield f"{wording.several(len(experiment.repeats), 'further record')} of the same runs, repeats, aren't used."
    if experiment.data.name == "cifar10-jpeg":
        yield "The images are CIFAR-10's, re-encoded as JPEG, which loses a little. This isn't CIFAR-10."
    ends, paper = experiment.values("plain56", "training error"), papers_last("plain56", "train")
    if not ends or paper is None or why_not_the_papers(experiment) is None:
        return
    spread = f", sd {statistics.stdev(ends):.1f}" if len(ends) > 1 else ""
    here = f"{statistics.fmean(ends):.1f} % running training error ({wording.several(len(ends), 'seed')}{spread})"
    if is_cifar10(experiment):
        yield f"plain56 ends at {here} here; in Figure 6, after {PAPER_ITERATIONS:,d} iterations, it ends at {paper:.1f} %."
    elif statistics.fmean(ends) > FAILS:
        yield (
            f"plain56 *fails to train in this budget*: it ends at {here}. This is far larger than the effect in Figure 6, where it ends at "
            f"{paper:.1f} % on CIFAR-10 after {PAPER_ITERATIONS:,d} iterations."
        )


def _finding(finding: Finding) -> list[str]:
    unit = "" if finding.criterion.measure == "training loss" else " points"
    gap = finding.gap
    mean = "" if gap.mean is None else f"{gap.mean:+.3g}{unit}"
    return [
        finding.criterion.id,
        mean,
        _interval(gap.paired),
        _interval(gap.welch),
        str(len(gap.seeds)),
        _verdict(finding),
        text(finding.reason),
    ]


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:+.3g} to {interval.high:+.3g}"


def _errors(judged: Judged, experiment: Experiment) -> str:
    heads = ["network", "seeds >", "training, running, % >", "training, evaluation mode, % >", "training loss, running >"]
    heads += ["test, last, % >", "test, selected, % >", "flatters by >", "test, best, % >", "flatters by >"]
    papers = ["the paper's training, % >", "the paper's test, % >"] if is_cifar10(experiment) else []
    rows = [
        [
            *_head(judged, experiment, network),
            *(_mean_and_sd(experiment.values(network, measure)) for measure in _TRAINED),
            *_protocols(experiment, network),
            *(_papers_end(network, kind) for kind in ("train", "test")[: len(papers)]),
        ]
        for network in with_runs(experiment)
    ]
    return table([*heads, *papers], rows)


_TRAINED: tuple[Measure, ...] = ("training error", "training error, evaluation mode", "training loss")


def _papers_end(network: str, kind: str) -> str:
    value = papers_last(network, "train" if kind == "train" else "test")
    return "" if value is None else f"{value:.2f}"


def _protocols(experiment: Experiment, network: str) -> list[str]:
    runs = [protocols(run) for _, run in sorted(experiment.finished(network).items())]
    last, best = [run.last for run in runs], [run.best for run in runs]
    selected = [run.selected for run in runs if run.selected is not None]
    flattered = f"{statistics.fmean(last) - statistics.fmean(selected):.2f}" if len(selected) == len(runs) else ""
    shown = _mean_and_sd(selected) if len(selected) == len(runs) else "needs `--validation`"
    return [_mean_and_sd(last), shown, flattered, _mean_and_sd(best), f"{statistics.fmean(last) - statistics.fmean(best):.2f}"]


def _missing(trained: Iterable[Trained]) -> Iterator[str]:
    """The experiments that nobody ran yet, with their commands."""
    done = {one.experiment.data.name for one in trained if one.experiment.data.name != "cifar10"}
    done |= {"cifar10" for one in trained if why_not_the_papers(one.experiment) is None}
    for name, command in EXPECTED.items():
        if name not in done:
            full = f", the paper's {PAPER_ITERATIONS:,d} iterations" if name == "cifar10" else ""
            yield f"## {name}{full}: no record yet"
            yield f"{code(command)} makes the records, and `repro report` this section."


def _head(judged: Judged, experiment: Experiment, network: str) -> list[str]:
    name = wording.network_link(network) if network in judged.ledger.networks else network
    return [name, str(len(experiment.finished(network)))]


def _mean_and_sd(values: Iterable[float]) -> str:
    """``5.78 (sd 0.31)``; the mean alone of a single value."""
    found = [value for value in values if not math.isnan(value)]
    if not found:
        return ""
    spread = f" (sd {statistics.stdev(found):.2f})" if len(found) > 1 else ""
    return f"{statistics.fmean(found):.2f}{spread}"


def _command(experiment: Experiment) -> str:
    name = experiment.data.name if experiment.data.name in DATA_NAMES else f"folder:PATH/{experiment.data.name}"
    seeds = max((run.seed + 1 for run in experiment.records), default=1)
    kept = " --validation" if experiment.validation else ""
    names = "" if set(experiment.networks) == set(NETWORKS) else f" --networks {','.join(experiment.networks)}"
    return f"repro degradation --data {name} --seeds {seeds} --iterations {experiment.recipe.iterations}{kept}{names}"
