"""The sections of degradation.md about what goes through the layers: gradients backward, responses forward."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from reports import wording
from reports.markdown import picture, table, text
from reports.trained import Trained, alt_text, data_of_gradients, mean_response, papers_responses, with_runs
from repro.degradation import Experiment
from repro.recipe import PAPER_ITERATIONS

#: A first layer's gradient under this share of the last convolution's has vanished; over its inverse, it has exploded.
VANISHED = 0.01


def gradients_section(one: Trained, caption: str, remade: str) -> Iterator[str]:
    """Whether gradients vanish, as figure, table and fact; nothing where no run measured them."""
    experiment, drawn = one.experiment, data_of_gradients(one.experiment)
    if not drawn:
        return
    yield "### Gradients"
    yield (
        "H15 section 4.1 thinks it unlikely that vanishing gradients are the cause: batch normalisation gives them healthy norms. If they "
        "vanished, the first layer's gradient would be a small part of the last convolution's."
    )
    yield from _vanishing(experiment, drawn)
    yield picture(f"figures/{one.stem('gradients')}", alt_text("gradients", experiment))
    yield text(caption)
    heads = [
        "network",
        "first layer over last convolution, first measured >",
        "at iteration >",
        "last measured >",
        "at iteration >",
        "lowest >",
    ]
    rows = []
    for row in drawn[1:]:
        ratios = [point[0] for point in row["ratio"]]
        at = [f"{iteration:,d}" for iteration in row["iteration"]]
        rows.append([row["network"], wording.rounded(ratios[0]), at[0], wording.rounded(ratios[-1]), at[-1], wording.rounded(min(ratios))])
    yield table(heads, rows)
    yield remade


def _vanishing(experiment: Experiment, drawn: list[dict[str, Any]]) -> Iterator[str]:
    """Plain56's ratio as a fact, by the rule of VANISHED."""
    over = " (geometric mean over seeds)" if len(experiment.finished("plain56")) > 1 else ""
    for row in (row for row in drawn[1:] if row["network"] == "plain56"):
        for when, at in (("first", 0), ("last", -1)):
            ratio = row["ratio"][at][0]
            yield f"At plain56's {when} measurement the ratio of the two norms is {wording.rounded(ratio)}{over}. {_says(ratio)}."
        lowest, iteration = min((point[0], iteration) for point, iteration in zip(row["ratio"], row["iteration"], strict=True))
        yield f"Its lowest is {wording.rounded(lowest)}, at iteration {iteration:,d}. {_says(lowest)}."


def _says(ratio: float) -> str:
    if ratio < VANISHED:
        return f"It is below {VANISHED:g}: the gradients vanish towards the input here, which the paper doesn't expect"
    if ratio > 1 / VANISHED:
        return f"It is above {1 / VANISHED:g}: the gradients don't vanish, they grow towards the input"
    return f"It is between {VANISHED:g} and {1 / VANISHED:g}: the gradients don't vanish"


def responses_section(one: Trained, caption: str, remade: str) -> Iterator[str]:
    """The layer responses beside Figure 7; nothing where no run measured them."""
    experiment = one.experiment
    means = {network: mean for network in with_runs(experiment) if (mean := mean_response(experiment, network)) is not None}
    if not means:
        return
    yield "### Layer responses"
    pairs = [pair for pair in (("resnet20", "plain20"), ("resnet56", "plain56"), ("resnet56", "resnet20")) if set(pair) <= set(means)]
    found = [f"{first} {'is' if means[first] < means[second] else 'is not'} below {second}" for first, second in pairs]
    yield (
        "Standard deviation of the output of each 3x3 convolution after batch normalisation, before the ReLU or the addition, on training "
        "images. In the paper's Figure 7 residual networks respond less than plain ones, and a deeper one less than a shallower one."
        f"{f' Here, as means over layers, {wording.joined(found)}.' if found else ''}"
    )
    yield picture(f"figures/{one.stem('responses')}", alt_text("responses", experiment))
    yield text(caption)
    heads = ["network", "mean over layers >", f"the paper's, CIFAR-10, {PAPER_ITERATIONS:,d} iterations >"]
    papers = {network: papers_responses(network)[1] for network in means}
    rows = ([name, f"{mean:.2f}", f"{statistics.fmean(papers[name]):.2f}" if papers[name] else ""] for name, mean in means.items())
    yield table(heads, rows)
    yield remade
