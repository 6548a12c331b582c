"""The page and the figures of the degradation experiment, from invented records: they say what the numbers say, and change with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.judged import Judged
from reports.pages.degradation import EXPECTED, write_degradation
from reports.render import draw_figure, render_reports, write_reports
from reports.trained import KINDS, charts_of, data_of_curves, gradient_ratio, name_experiments, papers_last, papers_responses
from repro import Ledger
from repro.degradation import experiments
from repro.recipe import NETWORKS
from repro.records import Record, write_record

Make = Callable[..., Record]

JPEG: dict[str, Any] = {"data.name": "cifar10-jpeg", "data.shape": [3, 32, 32], "recipe.pad": 4, "recipe.mirror": True}
ENDS = {"plain20": 4.0, "plain56": 50.0, "resnet20": 3.0, "resnet56": 3.1}


def runs(make: Make, seeds: int = 3, changes: dict[str, Any] | None = None, **ends: float) -> tuple[Record, ...]:
    return tuple(make(network, seed, (ENDS | ends)[network] + seed / 2, changes) for network in NETWORKS for seed in range(seeds))


def page(ledger: Ledger, *records: Record) -> str:
    return write_degradation(Judged.of(ledger, records))


# ---------------------------------------------------------------- the paper's own


@pytest.mark.parametrize(("network", "train", "test"), [("plain20", 1.33, 9.66), ("plain56", 5.78, 13.24), ("resnet56", 0.09, 7.04)])
def test_the_papers_curves_end_where_its_figure_does(network: str, train: float, test: float) -> None:
    assert papers_last(network, "train") == pytest.approx(train, abs=0.006)
    assert papers_last(network, "test") == pytest.approx(test, abs=0.006)


def test_the_papers_responses() -> None:
    layers, std = papers_responses("plain56")
    assert layers == list(range(1, 56))
    assert sum(std) / len(std) == pytest.approx(1.515, abs=0.001)
    assert papers_responses("plain26") == ([], [])
    assert papers_last("plain26", "test") is None


def test_the_papers_curves_stand_behind_its_own_images_only(make_record: Make) -> None:
    for changes, drawn in (({}, False), (JPEG, True), (JPEG | {"data.name": "cifar100"}, False)):
        (experiment,) = experiments(runs(make_record, 1, changes))
        papers = [row for row in data_of_curves(experiment)[1:] if row["source"] == "paper"]
        assert len(papers) == 8 * drawn
        assert all(max(row["x"]) <= 1.01 * experiment.recipe.iterations for row in papers), "on the width of this run"


# ---------------------------------------------------------------- the page


def test_without_a_record_there_is_no_number(ledger: Ledger) -> None:
    written = page(ledger)
    for command in EXPECTED.values():
        assert f"`{command}` makes the records" in written
    assert written.count("no record yet") == 3
    assert "<picture>" not in written
    assert " points" not in written.partition("## Verdicts")[2]


def test_the_label_of_a_scaled_run_stands_above_each_table(ledger: Ledger, make_record: Make) -> None:
    section = page(ledger, *runs(make_record)).partition("## digits-1600")[2].partition("\n## ")[0]
    tables = re.findall(r"\n\n(.*)\n\n\|", section)
    assert len(tables) == 4
    assert set(tables) == {"1,600 of the paper's 64,000 iterations, digits, 8x8:"}
    assert all("1,600 of the paper&#x27;s 64,000 iterations" in alt for alt in re.findall('alt="([^"]*)"', section))


def test_what_the_page_says_follows_the_numbers(ledger: Ledger, make_record: Make) -> None:
    written = page(ledger, *runs(make_record))
    assert "plain56 *fails to train in this budget*: it ends at 50.5 % running training error (3 seeds, sd 0.5)." in written
    assert "5.8 % on CIFAR-10 after 64,000 iterations" in written
    assert "| plain-degrades | +46 points | +46 to +46 | +44.9 to +47.1 | 3 | **holds** |" in written
    better = page(ledger, *runs(make_record, plain56=3.5))
    assert "fails to train" not in better
    assert "| plain-degrades | -0.5 points | -0.5 to -0.5 | -1.63 to +0.633 | 3 | **does not hold** |" in better


def test_re_encoded_images_are_never_called_cifar10(ledger: Ledger, make_record: Make) -> None:
    written = page(ledger, *runs(make_record, 1, JPEG))
    assert "This isn't CIFAR-10." in written
    assert "fails to train" not in written, "5.8 % takes 64,000 iterations there too"
    assert "## cifar10, the paper's 64,000 iterations: no record yet" in written
    assert "| needs `--validation` |" in written
    assert "3 are required" in written


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (0.001, "It is below 0.01: the gradients vanish towards the input here, which the paper doesn't expect."),
        (0.5, "It is between 0.01 and 100: the gradients don't vanish."),
        (500.0, "It is above 100: the gradients don't vanish, they grow towards the input."),
    ],
)
def test_whether_gradients_vanish_is_measured(ledger: Ledger, make_record: Make, first: float, says: str) -> None:
    gradients = {"layers": ["conv1", "conv2", "fc"], "iteration": [0, 1600], "norm": [[first, 1.0, 9.0], [2.0, 1.0, 9.0]]}
    record = make_record("plain56", 0, 50.0, {"gradients": gradients})
    (experiment,) = experiments([record])
    assert gradient_ratio(experiment, "plain56", 0) == first
    assert f"ratio of the two norms is {first:g}. {says}" in page(ledger, record)


def test_selected_on_validation(ledger: Ledger, make_record: Make) -> None:
    curve = {"iteration": [800, 1_600], "loss": [1.0, 1.0], "error": [9.0, 8.0]}
    validation = {**curve, "error": [5.0, 6.0]}
    changes = {"data.validation": 143, "curves.test": {**curve, "error": [7.0, 8.0]}, "curves.validation": validation}
    written = page(ledger, make_record("plain20", 0, 4.0, changes))
    assert "| 8.00 | 7.00 | 1.00 | 7.00 | 1.00 |" in written
    assert "## digits-1600-validation" in written


def test_a_failed_run_is_named_on_the_page(ledger: Ledger, make_record: Make) -> None:
    failed = {"outcome": "not finite", "reason": "the loss is nan at iteration 9", "whole_train": None, "responses": None}
    written = page(ledger, make_record("plain56", 3, 5.0, failed))
    assert "Not finite: plain56, seed 3: the loss is nan at iteration 9." in written
    assert "<picture>" not in written


def test_names_are_unique(make_record: Make) -> None:
    records = [make_record("plain20", 0, 5.0, {"data.checksum": letter * 64}) for letter in "abc"]
    assert [one.name for one in name_experiments(records)] == ["digits-1600", "digits-1600-2", "digits-1600-3"]


# ---------------------------------------------------------------- figures


def test_every_record_is_in_a_report_with_its_figures(ledger: Ledger, make_record: Make, tmp_path: Path) -> None:
    for record in (*runs(make_record), *runs(make_record, 1, JPEG)):
        write_record(record, tmp_path / "reports" / "records")
    files = render_reports(ledger, tmp_path)
    for name in ("digits-1600", "cifar10-jpeg-1600"):
        for kind in KINDS:
            figure = files[Path(f"reports/figures/degradation-{name}-{kind}-dark.svg")]
            assert f"degradation-{name}-{kind}-light.svg" in files[Path("reports/degradation.md")]
            assert len(figure.encode()) < 150_000
            assert "<text" not in figure
    assert Path("reports/figures/hours-by-workers-light.svg") in files
    assert write_reports(ledger, tmp_path)
    assert write_reports(ledger, tmp_path) == [], "nothing is drawn again"


def test_long_runs_are_thinned_and_still_end_where_they_end(make_record: Make) -> None:
    count = 1_000
    curve = {"iteration": list(range(1, count + 1)), "loss": [1.0] * count, "error": [80.0] * (count - 10) + [7.0] * 10}
    (experiment,) = experiments([make_record("plain20", 0, 5.0, {"curves.train": curve})])
    row = data_of_curves(experiment)[1]
    assert len(row["x"]) == len(row["mean"]) == 100
    assert (row["x"][-1], row["mean"][-1]) == (count, 7.0)


def test_a_lone_run_is_drawn_too(make_record: Make) -> None:
    for record in (make_record("plain20", 0), make_record("resnet56", 0, 5.0, JPEG), make_record("plain110", 0)):
        for chart in charts_of([record]):
            assert draw_figure(chart, "light").startswith("<?xml")
            assert draw_figure(chart, "dark") == draw_figure(chart, "dark")
