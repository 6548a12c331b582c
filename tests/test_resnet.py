"""ResNet's checks: the block's formula, shortcuts, depth, and gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.lectures import resnet
from repro.lectures.running import Unavailable
from repro.machine import ROOT
from repro.records import Curve, Curves, load_records


def test_block_is_its_formula_and_identity_is_free() -> None:
    found = resnet.block()
    assert found["off"] <= 1e-5
    assert found["shortcut_params"] == 0
    assert (found["resnet20_params"], found["shortcuts"]) == (269_722, 9)


def test_a_block_without_its_shortcut_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.building.Add.forward", lambda self, body, shortcut: body)
    assert resnet.block()["off"] > 0.1


def test_options_cost_what_was_computed_by_hand() -> None:
    found = resnet.options()
    assert (found["a_more"], found["b_projections"], found["c_projections"]) == (0, 3, 16)
    by_hand = sum(wide * narrow + 2 * wide for narrow, wide in ((64, 128), (128, 256), (256, 512)))
    assert found["b_more"] == by_hand
    squares = sum(count * (width**2 + 2 * width) for width, count in ((64, 3), (128, 3), (256, 5), (512, 2)))
    assert found["c_more"] == by_hand + squares


def test_table_1() -> None:
    found = resnet.table()
    assert (found["flops_held"], found["columns"], found["depths_held"], found["deepest"]) == (4, 5, 5, 152)
    assert found["as_printed"] == 1


def test_gradients_of_plain56_are_large_at_the_start() -> None:
    assert resnet.gradients()["plain56"] > 100


def test_stages_have_the_printed_sides_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = resnet.stages()
    assert [found[f"conv{stage}_side"] for stage in range(1, 6)] == [112, 56, 28, 14, 7]
    assert (found["stages_held"], found["stages"], found["fc_scores"], found["blocks_18"], found["blocks_152"]) == (20, 20, 1_000, 8, 50)
    monkeypatch.setitem(resnet.BLOCKS, "101", (3, 4, 22, 3))
    assert resnet.stages()["stages_held"] == 19


def test_gradients_of_all_finished_runs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs whose first layer's gradient was ever below a hundredth, by a count of the files that leaves nothing out."""
    found = resnet.recorded(None)
    deep = [run for run in load_records(ROOT / "reports" / "records") if run.network == "plain56"]
    below = [run for run in deep if any(norms[0] < norms[-2] / 100 for norms in run.gradients.norm)]
    assert (found["runs"], found["runs_below"]) == (len(deep), len(below))
    assert 0 < found["runs_below"] < found["runs"]
    assert found["runs_start_above"] == found["runs"]
    monkeypatch.setattr(resnet, "VANISHED", 0.5)
    assert resnet.recorded(None)["runs_below"] == found["runs"]


def test_repeats_on_another_machine_and_failed_runs_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    before, records = resnet.recorded(None), load_records(ROOT / "reports" / "records")
    curve = Curve(iteration=(1,), loss=(9.0,), error=(99.0,))
    other = records[0].environment.model_copy(update={"hardware": "A100"})
    repeats = [run.model_copy(update={"environment": other, "curves": Curves(train=curve, test=curve, validation=None)}) for run in records]
    failed = [run.model_copy(update={"outcome": "not finite", "seed": 99}) for run in records]
    monkeypatch.setattr(resnet, "load_records", lambda folder: (*failed, *repeats, *records))
    assert resnet.recorded(None) == before


def test_four_networks_that_werent_trained_alike_arent_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    records = load_records(ROOT / "reports" / "records")
    shorter = [
        run.model_copy(update={"recipe": replace(run.recipe, iterations=run.recipe.iterations // 2)}) if run.network == "plain20" else run
        for run in records
    ]
    monkeypatch.setattr(resnet, "load_records", lambda folder: tuple(shorter))
    with pytest.raises(Unavailable, match="trained alike"):
        resnet.recorded(None)


def test_without_records_the_check_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resnet.recorded(None)["plain56_train"] > resnet.recorded(None)["plain20_train"]
    monkeypatch.setattr(resnet, "ROOT", tmp_path)
    with pytest.raises(Unavailable):
        resnet.recorded(None)
