"""ResNet's checks: the block's formula, shortcuts, depth, and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.lectures import resnet
from repro.lectures.running import Unavailable


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
    found = resnet.gradients()
    assert found["plain56"] > 100 > found["plain20"] > 1
    assert found["plain56"] > 10 * found["plain56_without_bn"]


def test_without_records_the_check_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resnet.recorded(None)["plain56_train"] > resnet.recorded(None)["plain20_train"]
    monkeypatch.setattr(resnet, "ROOT", tmp_path)
    with pytest.raises(Unavailable):
        resnet.recorded(None)
