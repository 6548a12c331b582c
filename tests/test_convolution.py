"""Convolution and pooling: the formula over any case, and checks that see a wrong formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from repro.lectures import convolution


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
    assert found["divisible"] + found["not_divisible"] == found["cases"] > 500
    assert 0 < found["divisible"] < found["cases"]


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


def test_filters_are_as_deep_as_their_group() -> None:
    found = convolution.filters()
    assert (found["alexnet_conv2_depth"], found["alexnet_conv2_input"]) == (48, 96)
    assert found["convolutions"] - found["as_deep_as_the_input"] == 3
    assert found["flipped_off"] > 1
