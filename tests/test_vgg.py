"""VGG's checks: fields by gradient, weights of stacks, and dense evaluation."""

from __future__ import annotations

import math

import pytest
import torch

from repro import load_ledger
from repro.building import build
from repro.lectures import vgg


def test_two_see_five_and_three_see_seven() -> None:
    assert vgg.fields() == {"two_3x3_side": 5, "three_3x3_side": 7, "one_5x5_side": 5, "one_7x7_side": 7}


def test_stacks_have_the_papers_weights_and_relus() -> None:
    found = vgg.stacks()
    assert (found["weights_three_3x3"], found["weights_one_7x7"]) == (27, 49)
    assert (found["more_percent"], found["saved_percent"]) == (81, 45)
    assert (found["activations_three_3x3"], found["activations_one_7x7"]) == (3, 1)


def test_printed_counts_hold_and_only_c_has_other_filters() -> None:
    found = vgg.configurations()
    assert found["params_held"] == found["params_printed"] > 0
    assert found["layers_held"] == found["layers_printed"] == 6
    assert found["not_3x3"] == found["not_3x3_in_c"] == 3
    assert (found["dropouts"], found["poolings"]) == (2, 5)
    assert (found["fewest_layers"], found["most_layers"], found["alexnet_layers"]) == (11, 19, 8)
    assert (found["one_scale_a"], found["one_scale_d"], found["one_scale_e"]) == (29.6, 27.0, 27.3)
    assert (found["jitter_d"], found["jitter_e"]) == (25.6, 25.5)


def test_one_relu_leaves_a_known_share_and_three_leave_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found = vgg.bends()
    relu, line = (math.pi - 1) / (2 * math.pi), 0.25  # variance of relu(z), and that of its best line z / 2, for normal z
    assert found["one_7x7_percent"] == pytest.approx(100 * (1 - line / relu), abs=2)
    assert found["three_3x3_percent"] > 1.5 * found["one_7x7_percent"]
    monkeypatch.setattr(torch.Tensor, "relu", lambda x: x)
    assert vgg.bends() == {"one_7x7_percent": 0, "three_3x3_percent": 0}


def test_one_by_one_is_linear_until_the_relu() -> None:
    found = vgg.small_filters()
    assert found["alone_off"] <= 1e-5
    assert found["with_relu_off_percent"] > 10


def test_dense_evaluation_gives_the_same_scores_and_the_papers_sides() -> None:
    found = vgg.dense()
    assert found["off"] <= 1e-4
    assert (found["first_kernel"], found["second_kernel"], found["third_kernel"]) == (7, 1, 1)
    assert (found["side_224"], found["side_256"], found["side_384"], found["side_512"]) == (1, 2, 6, 10)
    assert found["formula_held"] == found["sides"] == 4


def test_the_first_fc_layer_as_1x1_takes_no_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slide's reading: a 1x1 filter would need 25,088 maps, and there are 512."""
    monkeypatch.setattr(vgg, "FULL", 1)
    whole = vgg.as_convolutions(build(load_ledger().network("vgg-a"), "meta").eval())
    with pytest.raises(RuntimeError, match="channel"):
        whole(torch.empty(1, 3, 224, 224, device="meta"))


def test_epochs_are_arithmetic() -> None:
    assert vgg.epochs() == {"epochs": 73.9}
