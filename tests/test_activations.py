"""Activations: slopes against calculus, and gradients by depth."""

from __future__ import annotations

import math

import pytest
import torch

from repro.lectures import activations


def test_slopes_are_those_of_calculus() -> None:
    found = activations.slopes()
    assert (found["sigmoid_max"], found["tanh_max"], found["relu_max"]) == (0.25, 1.0, 1.0)
    assert found["scaled_tanh_max"] == pytest.approx(1.7159 * 2 / 3, abs=1e-4)
    assert found["leaky_relu_min"] == 0.01
    sigmoid = 1 / (1 + math.exp(-2))
    assert found["sigmoid_at_2"] == pytest.approx(sigmoid * (1 - sigmoid), abs=1e-3)


def test_sigmoid_vanishes_relu_doesnt_and_a_quarter_is_no_bound() -> None:
    found = activations.vanishing()
    assert found["sigmoid_a_layer"] < 0.25 < found["sigmoid_large_a_layer"] < 1
    assert found["sigmoid_log10"] < 19 * math.log10(0.25) < -11
    assert 0.9 < found["relu_a_layer"] < 1.1
    assert found["relu_small_a_layer"] == pytest.approx(found["relu_a_layer"] / 2**0.5, abs=0.01)
    assert found["relu_small_after_20"] < 0.01


def test_another_activation_gives_another_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(activations.FUNCTIONS, "sigmoid", torch.tanh)
    assert activations.vanishing()["sigmoid_a_layer"] > 0.25


def test_no_activation_is_a_line_and_a_line_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = activations.kinds()
    assert found["bent"] == found["functions"] == 5
    assert found["least_bent_percent"] > 10
    monkeypatch.setitem(activations.FUNCTIONS, "tanh", lambda x: 3 * x + 1)
    assert activations.kinds()["bent"] == 4


def test_softmax_isnt_of_one_value() -> None:
    found = activations.kinds()
    assert found["softmax_moved_by_one"] == found["softmax_inputs"] == 5
    assert found["relu_low"] == 0 > found["leaky_relu_low"]
