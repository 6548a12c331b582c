"""The degradation experiment's statistics: known values, pairing, too few seeds, runs that failed, and verdicts that follow the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from scipy import stats

from repro.degradation import (
    CRITERIA,
    INTERACTION,
    PLAIN_GAP,
    Finding,
    experiments,
    judge,
    label,
    measure_gap,
    protocols,
    why_not_the_papers,
)
from repro.intervals import Interval, paired_interval, upper_end, welch_interval
from repro.records import Record

Make = Callable[..., Record]

#: Running training error by seed, and by network.
ERRORS = {"plain20": (4.0, 5.0, 6.0), "plain56": (50.0, 55.0, 54.0), "resnet20": (3.0, 3.2, 2.8), "resnet56": (3.1, 3.0, 3.1)}
PAPER = {
    "data.name": "cifar10",
    "data.shape": [3, 32, 32],
    "recipe.pad": 4,
    "recipe.mirror": True,
    "recipe.log_every": 500,
}


def runs(make: Make, errors: Mapping[str, tuple[float, ...]] = ERRORS, **options: Any) -> list[Record]:
    return [make(network, seed, error, **options) for network, found in errors.items() for seed, error in enumerate(found)]


def verdicts(records: list[Record]) -> dict[str, Finding]:
    (experiment,) = experiments(records)
    return {finding.criterion.id: finding for finding in judge(experiment)}


# ---------------------------------------------------------------- intervals


def test_the_paired_interval_by_hand() -> None:
    found = paired_interval([1.0, 2.0, 3.0])
    half = 4.302653 / 3**0.5  # t of 2 degrees of freedom at 97.5 %, sd 1
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-5)
    assert upper_end([1.0, 2.0, 3.0]) == pytest.approx(2 + 2.919986 / 3**0.5, abs=1e-5)


def test_intervals_agree_with_scipys_tests() -> None:
    first, second = [5.1, 7.0, 6.2, 9.4], [1.0, 3.5, 2.2, 2.0]
    paired = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = paired_interval([one - other for one, other in zip(first, second, strict=True)])
    assert (found.low, found.high) == pytest.approx((paired.low, paired.high))
    unpaired = stats.ttest_ind(first, second[:3], equal_var=False).confidence_interval(0.95)
    found = welch_interval([(1, first), (-1, second[:3])])
    assert (found.low, found.high) == pytest.approx((unpaired.low, unpaired.high))


def test_values_without_spread_have_an_interval_without_width() -> None:
    assert paired_interval([2.0, 2.0, 2.0]) == welch_interval([(1, [5.0, 5.0]), (-1, [3.0, 3.0])]) == Interval(2.0, 2.0)


# ---------------------------------------------------------------- what is measured


def test_the_running_error_is_of_the_last_eighth(make_record: Make) -> None:
    made = make_record("plain20", 0, 5.0)
    early = made.curves.train.model_copy(update={"error": (*[80.0] * 14, 4.0, 8.0)})
    record = made.model_copy(update={"curves": made.curves.model_copy(update={"train": early})})
    (experiment,) = experiments([record])
    assert experiment.values("plain20", "training error") == (6.0,)
    assert experiment.values("plain20", "training error, evaluation mode") == (2.5,)


def test_on_the_papers_recipe_it_is_of_the_last_1000(make_record: Make) -> None:
    made = make_record("plain20", 0, 5.0, PAPER, 64_000)
    curve = {"iteration": [62_000, 63_000, 63_500, 64_000], "loss": [1.0] * 4, "error": [90.0, 50.0, 2.0, 4.0]}
    record = make_record("plain20", 0, 5.0, {**PAPER, "curves.train": curve}, 64_000)
    assert made.recipe.last_stretch == 63_000
    (experiment,) = experiments([record])
    assert experiment.values("plain20", "training error") == (3.0,)


def test_a_longer_interval_counts_for_more(make_record: Make) -> None:
    curve = {"iteration": [1_400, 1_500, 1_600], "loss": [1.0] * 3, "error": [90.0, 2.0, 5.0]}
    uneven = {**curve, "iteration": [1_400, 1_450, 1_600]}
    for found, mean in ((curve, 3.5), (uneven, (50 * 2 + 150 * 5) / 200)):
        (experiment,) = experiments([make_record("plain20", 0, 5.0, {"curves.train": found})])
        assert experiment.values("plain20", "training error") == pytest.approx((mean,))


def test_protocols_of_choosing_an_iteration(make_record: Make) -> None:
    test = {"iteration": [400, 800, 1_200, 1_600], "loss": [1.0] * 4, "error": [12.0, 8.0, 9.0, 10.0]}
    validation = {**test, "error": [12.0, 9.0, 7.0, 7.0]}
    found = protocols(make_record("plain20", 0, 5.0, {"curves.test": test, "curves.validation": validation}))
    assert (found.last, found.selected, found.best) == (10.0, 9.0, 8.0), "the earliest of equal validation errors"
    assert protocols(make_record("plain20", 0, 5.0, {"curves.test": test})).selected is None


# ---------------------------------------------------------------- grouping and pairing


def test_other_data_split_or_recipe_is_another_experiment(make_record: Make) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"data.name": "mnist"},
        {"data.checksum": "d" * 64},
        {"data.validation": 143},
        {"recipe.weight_decay": 0.0},
        {"recipe.warm_up_lr": 0.01},
    ]
    records = [make_record("plain20", seed, 5.0, change) for seed, change in enumerate(changes)]
    found = experiments([*records, make_record("plain20", 0, iterations=3_200)])
    assert sorted(len(experiment.records) for experiment in found) == [1, 1, 1, 1, 1, 2], "a warm-up makes no other experiment"
    assert experiments([]) == ()


def test_pairs_are_made_by_seed(make_record: Make) -> None:
    records = [run for run in runs(make_record) if (run.network, run.seed) != ("plain20", 1)]
    records.append(make_record("plain20", 7, 99.0))
    (experiment,) = experiments(reversed(records))
    gap = measure_gap(experiment, PLAIN_GAP, "training error")
    assert (gap.seeds, gap.values) == ((0, 2), (46.0, 48.0))
    assert gap.left_out == ("seed 1, no run of plain20", "seed 7, no run of plain56")
    assert measure_gap(experiment, INTERACTION, "training error").values == pytest.approx((45.9, 47.7))


def test_a_run_made_on_two_machines_counts_once(make_record: Make) -> None:
    other = make_record("plain20", 0, 77.0, {"environment.hardware": "Another 1, 1 core"})
    (experiment,) = experiments([other, *runs(make_record)])
    assert experiment.values("plain20", "training error") == ERRORS["plain20"]
    assert experiment.repeats == (other,)


# ---------------------------------------------------------------- verdicts


def test_verdicts_of_a_scaled_run(make_record: Make) -> None:
    found = verdicts(runs(make_record))
    assert [finding.verdict for finding in found.values()] == ["holds", "holds", "holds", "not judged"]
    assert found["residual-not-inferior"].reason == "scaled run: 1,600 of the paper's 64,000 iterations, digits, 8x8"
    gap = found["plain-degrades"].gap
    expected = stats.ttest_rel(ERRORS["plain56"], ERRORS["plain20"]).confidence_interval(0.95)
    assert gap.values == (46.0, 50.0, 48.0)
    assert gap.mean == 48.0
    assert gap.paired is not None
    assert (gap.paired.low, gap.paired.high) == pytest.approx((expected.low, expected.high))


def test_verdicts_follow_the_numbers(make_record: Make) -> None:
    swapped = {**ERRORS, "plain20": ERRORS["plain56"], "plain56": ERRORS["plain20"]}
    found = verdicts(runs(make_record, swapped))
    assert [finding.verdict for finding in found.values()] == ["does not hold"] * 3 + ["not judged"]
    assert "lies below 0" in found["plain-degrades"].reason
    scattered = {**ERRORS, "plain56": (2.0, 5.5, 9.0)}
    finding = verdicts(runs(make_record, scattered))["plain-degrades"]
    assert finding.verdict == "does not hold"
    assert "includes 0" in finding.reason
    both = {**ERRORS, "resnet56": ERRORS["plain56"], "resnet20": ERRORS["plain20"]}
    found = verdicts(runs(make_record, both))
    assert found["plain-degrades"].verdict == "holds"
    assert found["residual-gap-smaller"].verdict == found["residual-gap-smaller-loss"].verdict == "does not hold"


@pytest.mark.parametrize(
    ("deeper", "verdict"), [((0.9, 1.2, 1.0), "holds"), ((1.4, 1.6, 1.5), "does not hold"), ((0.1, 2.5, 1.0), "does not hold")]
)
def test_not_inferior_is_judged_on_the_papers_recipe(make_record: Make, deeper: tuple[float, ...], verdict: str) -> None:
    errors = {**ERRORS, "resnet20": (1.0, 1.1, 0.9), "resnet56": deeper}
    finding = verdicts(runs(make_record, errors, changes=PAPER, iterations=64_000))["residual-not-inferior"]
    differences = [one - other for one, other in zip(deeper, errors["resnet20"], strict=True)]
    assert finding.gap.upper == pytest.approx(stats.ttest_1samp(differences, 0).confidence_interval(0.9).high)
    assert finding.verdict == verdict, finding.reason


@pytest.mark.parametrize(
    ("changes", "iterations", "why"),
    [
        ({}, 64_000, None),
        ({}, 16_000, "scaled run: 16,000 of the paper's 64,000 iterations, cifar10, 32x32"),
        ({"data.name": "cifar10-jpeg"}, 64_000, "the data is cifar10-jpeg, not CIFAR-10"),
        ({"recipe.batch": 64}, 64_000, "not the paper's recipe: batch 64, not 128"),
        ({"recipe.mirror": False}, 64_000, "not the paper's recipe: no mirroring"),
        ({"recipe.drops": [30_000]}, 64_000, "not the paper's recipe: drops (30000,), not (32000, 48000)"),
    ],
)
def test_what_is_the_papers_recipe(make_record: Make, changes: dict[str, Any], iterations: int, why: str | None) -> None:
    (experiment,) = experiments([make_record("plain20", 0, 5.0, PAPER | changes, iterations)])
    assert why_not_the_papers(experiment) == why


def test_two_seeds_get_no_interval_and_no_verdict(make_record: Make) -> None:
    finding = verdicts(runs(make_record, {network: errors[:2] for network, errors in ERRORS.items()}))["plain-degrades"]
    assert (finding.verdict, finding.gap.paired, finding.gap.welch, finding.gap.mean) == ("not judged", None, None, 48.0)
    assert finding.reason == "only 2 seeds have all the runs that this needs; 3 are required"
    alone = verdicts([make_record("plain20", 0)])["plain-degrades"]
    assert (alone.verdict, alone.gap.mean) == ("not judged", None)


def test_a_run_that_is_not_finite_is_named_and_not_counted(make_record: Make) -> None:
    failed = {"outcome": "not finite", "reason": "the loss is nan at iteration 123", "whole_train": None, "responses": None}
    records = [run for run in runs(make_record, {k: (*v, 5.0) for k, v in ERRORS.items()}) if (run.network, run.seed) != ("plain56", 3)]
    records.append(make_record("plain56", 3, 5.0, failed))
    (experiment,) = experiments(records)
    assert [run.seed for run in experiment.failed] == [3]
    finding = judge(experiment)[0]
    assert finding.gap.seeds == (0, 1, 2)
    assert finding.verdict == "holds"
    assert finding.reason.endswith("; left out: seed 3, plain56 is not finite (the loss is nan at iteration 123)")
    assert experiment.to_json()["not_finite"] == [{"network": "plain56", "seed": 3, "reason": "the loss is nan at iteration 123"}]


def test_everything_is_json(make_record: Make) -> None:
    (experiment,) = experiments(runs(make_record))
    document = json.loads(json.dumps(experiment.to_json(), allow_nan=False))
    assert document["label"] == label(experiment) == "1,600 of the paper's 64,000 iterations, digits, 8x8"
    assert document["networks"]["plain56"]["training error"] == [50.0, 55.0, 54.0]
    assert [finding["criterion"]["id"] for finding in document["findings"]] == [criterion.id for criterion in CRITERIA]
    assert document["findings"][0]["mean"] == 48.0
