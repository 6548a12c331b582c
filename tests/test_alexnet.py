"""AlexNet's checks: normalisation, dropout, initial weights, schedule and decay, each against another way to get the number."""

from __future__ import annotations

import pytest
import torch

from repro import load_ledger
from repro.lectures import alexnet, two_towers


def test_layers_are_those_of_the_paper() -> None:
    found = alexnet.structure()
    assert (found["max_poolings"], found["normalisations"], found["dropouts"], found["relus"]) == (3, 2, 2, 7)
    assert (found["inputs"], found["classes"], found["params"]) == (150_528, 1_000, 60_965_224)
    assert found["libraries_normalisations"] == 0


def test_errors_are_the_printed_ones() -> None:
    assert alexnet.printed_errors() == {"one_val": 18.2, "five_test": 16.4, "seven_val": 15.4, "seven_test": 15.3}


def test_normalisation_as_printed_isnt_torchs_default() -> None:
    found = alexnet.normalisation()
    assert found["off"] <= 1e-5
    assert found["as_printed"] == pytest.approx(100 / (2 + 1e-4 * 5 * 100**2) ** 0.75, abs=0.01)
    assert found["torch_alpha_as_printed"] == pytest.approx(100 / (2 + 1e-4 * 100**2) ** 0.75, abs=0.01)
    assert found["torch_default"] == pytest.approx(100 / (1 + 1e-4 * 100**2) ** 0.75, abs=0.01)


def test_normalisation_stops_at_the_first_and_last_map() -> None:
    maps = torch.full((1, 96, 1, 1), 100.0)
    edge, middle = alexnet.as_printed(maps)[0, [0, 48], 0, 0].tolist()
    assert edge == pytest.approx(100 / (2 + 1e-4 * 3 * 100**2) ** 0.75)
    assert edge > middle


def test_another_alpha_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alexnet, "ALPHA", 1e-4 / 5)
    assert alexnet.normalisation()["off"] > 1


def test_dropout_halves_in_training_there_and_doubles_here() -> None:
    found = alexnet.dropout()
    assert 49 < found["zeroed_percent"] < 51
    assert found["torch_mean_training"] == pytest.approx(1, abs=0.02)
    assert found["paper_mean_training"] == pytest.approx(found["paper_mean_test"], abs=0.02)


def test_weights_and_biases_begin_as_printed() -> None:
    net = two_towers.grouped(load_ledger().network("alexnet"), 0)
    alexnet.initialise_as_in_2012(net, 0)
    layers = {name: module for name, module in net.named_modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)}
    biases = {name: module.bias.mean().item() for name, module in layers.items() if module.bias is not None}
    assert biases == {name: float(name in ("conv2", "conv4", "conv5", "fc6", "fc7")) for name in layers}
    assert all(0.0098 < module.weight.std().item() < 0.0102 for module in layers.values())


def test_weights_of_1_make_all_maps_alike_and_biases_of_1_make_outputs_positive() -> None:
    found = alexnet.initialisation()
    assert found["alike_if_weights_1"] == found["maps"] == 128
    assert found["torch_std_low"] < 0.01 < found["torch_std_high"]
    assert found["positive_with_1"] > 99 > 60 > found["positive_with_0"]


def test_plateaus_give_three_drops() -> None:
    assert alexnet.schedule() == {"first": 0.01, "last": 1e-5, "drops": 3}


def test_printed_update_is_torchs_until_the_rate_falls() -> None:
    found = alexnet.decay()
    assert found["off"] <= 1e-5
    assert found["l2_off"] <= 1e-5
    assert found["off_percent_after_drop"] > 1


def test_another_decay_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = alexnet._updates((0.01, 0.01))
    monkeypatch.setattr(alexnet, "MOMENTUM", 0.8)
    assert before < 1e-9
    real = torch.optim.SGD
    monkeypatch.setattr(torch.optim, "SGD", lambda *arguments, **options: real(*arguments, **options | {"weight_decay": 0.5}))
    assert alexnet._updates((0.01, 0.01)) > 1e-3


def test_overlapping_pooling_keeps_the_side_and_raises_values() -> None:
    found = alexnet.overlapping()
    assert found["side"] == found["side_plain"] == 27
    assert 50 < found["differ_percent"] < 65  # the largest of 9 is none of the plain window's 4 in 5 of 9 cases: 56 %
