"""Perceptron and MLP: what collapses, what a line can't do, and that the checks would see another thing."""

from __future__ import annotations

import pytest
import torch

from repro.lectures import perceptron


def test_layers_without_activation_are_one_matrix_and_with_relu_are_not() -> None:
    found = perceptron.collapse()
    assert found["off"] <= 1e-5
    assert found["relu_off_percent"] > 10


def test_a_single_unit_does_and_but_not_xor() -> None:
    found = perceptron.perceptrons()
    assert found == {"and_right": 4, "xor_right": 3}


def test_xor_is_learnt_with_relu_alone() -> None:
    found = perceptron.xor()
    assert (found["relu_worst"], found["relu_best"], found["linear_best"]) == (4, 4, 0)


def test_probabilities_sum_to_one_for_softmax_only() -> None:
    found = perceptron.outputs()
    assert found["softmax_sum_off"] <= 1e-5
    assert found["sigmoid_sum_highest"] > 1.5


def test_a_sum_that_isnt_one_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "softmax", lambda scores, axis: scores.sigmoid())
    assert perceptron.outputs()["softmax_sum_off"] > 1
