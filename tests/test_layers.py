"""The record of a layer: what it holds survives JSON, and connections are counted as the 1998 paper counts them."""

from __future__ import annotations

import json

import pytest

from repro import Ledger
from repro.layers import FIELDS, KINDS, Layer, elements


def test_the_fields_stand_in_the_order_that_the_command_prints() -> None:
    assert FIELDS == (
        "name", "kind", "inputs", "output", "kernel", "stride", "padding", "groups", "bias", "constants", "params", "macs"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg-a-lrn", "resnet20", "resnet50-v1.5"])
def test_layers_survive_json(ledger: Ledger, name: str) -> None:
    for layer in ledger.network(name).layers:
        row = layer.to_json()
        assert tuple(row) == FIELDS
        assert Layer.from_json(json.loads(json.dumps(row, allow_nan=False))) == layer


def test_a_layer_says_only_what_it_has(ledger: Ledger) -> None:
    relu = next(layer for layer in ledger.network("vgg-d").layers if layer.kind == "relu")
    assert json.loads(json.dumps(relu.to_json())) == {
        "name": "conv1_1_relu", "kind": "relu", "inputs": ["conv1_1"], "output": [64, 224, 224], "kernel": None, "stride": None,
        "padding": None, "groups": None, "bias": None, "constants": {}, "params": 0, "macs": 0,
    }  # fmt: skip


@pytest.mark.parametrize("row", [{}, {"name": "conv1"}, {"name": "a", "kind": "relu", "inputs": [], "output": [1], "colour": "red"}])
def test_a_row_with_missing_or_unknown_fields_is_no_layer(row: dict[str, object]) -> None:
    with pytest.raises((TypeError, KeyError)):
        Layer.from_json(row)


def test_every_kind_is_met_in_some_network(ledger: Ledger) -> None:
    assert {layer.kind for name in ledger.networks for layer in ledger.network(name).layers} == set(KINDS)


@pytest.mark.parametrize(
    ("layer", "connections"),
    [
        (Layer("C1", "conv", ("input",), (6, 28, 28), (5, 5), bias=True, params=156, macs=117_600), 122_304),
        (Layer("C1", "conv", ("input",), (6, 28, 28), (5, 5), bias=False, params=150, macs=117_600), 117_600),
        (Layer("S2", "subsampling", ("C1",), (6, 14, 14), (2, 2), bias=True, params=12), 5_880),
        (Layer("F6", "linear", ("C5",), (84,), bias=True, params=10_164, macs=10_080), 10_164),
        (Layer("OUTPUT", "rbf", ("F6",), (10,), macs=840), 840),
        (Layer("C1_tanh", "tanh", ("C1",), (6, 28, 28)), 0),
    ],
)
def test_a_connection_is_one_multiplication_or_one_bias(layer: Layer, connections: int) -> None:
    assert layer.connections == connections


@pytest.mark.parametrize(("shape", "count"), [((3, 224, 224), 150_528), ((10,), 10), ((), 1), ((99_999,) * 3, 99_999**3)])
def test_elements_of_a_shape(shape: tuple[int, ...], count: int) -> None:
    assert elements(shape) == count
