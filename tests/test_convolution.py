"""Convolution and pooling: the formula over any case, and checks that see a wrong formula."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from repro import load_ledger
from repro.lectures import convolution
from repro.tables import Ledger


@given(st.integers(1, 64), st.integers(1, 12), st.integers(0, 6), st.integers(1, 8))
def test_formula_rounded_down_is_torchs_side(height: int, size: int, padding: int, stride: int) -> None:
    assume(size <= height + 2 * padding)
    found = convolution.torch_side(height, size, padding, stride)
    assert convolution.output_side(height, size, padding, stride) == found
    real = torch.nn.functional.conv2d(torch.ones(1, 1, height, height), torch.ones(1, 1, size, size), padding=padding, stride=stride)
    assert real.shape[-1] == found
    assert (found - 1) * stride + size <= height + 2 * padding < found * stride + size


@given(st.integers(1, 64), st.integers(1, 12))
def test_slides_n_minus_m_is_one_less(height: int, size: int) -> None:
    assume(size <= height)
    assert convolution.torch_side(height, size) == height - size + 1


def test_a_filter_that_doesnt_fit_is_refused_by_torch() -> None:
    with pytest.raises(RuntimeError, match="greater than actual input size"):
        convolution.torch_side(3, 5)


def test_known_sides() -> None:
    found = convolution.output_size()
    assert (found["lenet_c1"], found["alexnet_224"], found["alexnet_227"]) == (28, 54, 55)
    assert 0 < found["divisible"] < found["cases"]
    assert found["cases"] > 500


def test_a_wrong_formula_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        convolution, "output_side", lambda height, size, padding=0, stride=1: -(-(height + 2 * padding - size) // stride) + 1
    )
    found = convolution.output_size()
    assert found["rounded_down_equal"] == found["divisible"]


def test_pooling_loses_parameters_but_no_channels() -> None:
    found = convolution.pooling()
    assert found["parameters"] == 0
    assert found["lenet5_s2_parameters"] == 12
    assert found["channels_in"] == found["channels_out"] == 4
    assert (found["side_in"], found["side_out"], found["side_out_stride_1"]) == (8, 4, 8)


def test_a_shift_moves_pooled_maps_less_but_not_little() -> None:
    found = convolution.shifts()
    assert 100 > found["none"] > found["max_2"] > found["max_4"] > 10
    assert all(row["moved"] == 0 for row in convolution.shift_rows() if row["shift"] == 0)


def test_filters_are_as_deep_as_what_they_are_connected_to() -> None:
    found = convolution.depths()
    assert (found["alexnet_conv2_depth"], found["alexnet_conv2_input"]) == (48, 96)
    assert (found["lenet5_c3_filters"], found["lenet5_c3_fewer"], found["lenet5_c3_fewest"], found["lenet5_c3_input"]) == (16, 15, 3, 6)
    assert found["convolutions"] - found["as_deep_as_the_input"] == 3 + 15  # AlexNet's conv2, conv4 and conv5; all but one of C3
    assert found["as_deep_if_connected"] == found["connected"] == found["convolutions"] - 3 - 16


def test_filters_arent_turned_around() -> None:
    found = convolution.filters()
    assert found["by_hand_off"] <= 1e-5
    assert found["flipped_off"] > 1


def test_shapes_have_three_dimensions_up_to_the_last_convolution_and_a_flat_layer_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = convolution.shapes()
    assert found["layers_of_three"] == found["layers"] > 1_000
    assert (found["fewest_filters"], found["dimensions_after_flatten"]) == (6, 1)
    assert found["several"] == found["convolutional"]
    lenet, network = load_ledger().network("lenet5"), Ledger.network
    flat = replace(lenet, layers=(replace(lenet.layers[0], output=(1,)), *lenet.layers[1:]))
    monkeypatch.setattr(Ledger, "network", lambda ledger, name: flat if name == "lenet5" else network(ledger, name))
    found = convolution.shapes()
    assert found["layers"] - found["layers_of_three"] == 1
    assert found["convolutional"] - found["several"] == 1


def test_padding_has_five_kinds_of_which_three_arent_constant() -> None:
    found = convolution.padding()
    assert (found["kinds"], found["other_kinds"], found["zero_is_constant_0"], found["constant_differs"]) == (5, 3, 1, 1)


def test_all_networks_have_pooling_of_some_kind_and_not_all_max_pooling() -> None:
    found = convolution.pooling()
    assert found["networks_with_either"] == found["networks"] > found["networks_with_average"] > found["networks_with_pooling"] > 0
