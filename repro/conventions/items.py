"""What there is to count in a network, item by item, from its closed-form layers; no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from repro.layers import Layer, Shape, elements
from repro.tables import Ledger, Network
from repro.tables.expanding import INPUT, expand
from repro.tables.schema import TableEntry

Items = Counter[str]

#: The same question of one paper's network and of the one that most code has in its place.
FAMILIES = (("alexnet", "alexnet-owt"), ("lenet5", "lenet5-modern"))

#: torchvision's versions of these pool a map to its own size before the first FC layer; the papers' networks don't.
ADAPTIVE = ("alexnet-owt", "vgg-a", "vgg-b", "vgg-d", "vgg-e")


def itemise(layers: Iterable[Layer], source: Shape, *, adaptive: bool) -> Items:
    """The items of a network whose input has the shape ``source``; CHOICES weighs them.

    ``macs`` are all multiply-accumulates, ``fc`` and ``rbf`` those of these layers, ``ungrouping`` those that full kernels add.
    The others are numbers of values: outputs with a bias, elements of BN and of activations, inputs and outputs of pooling.
    ``adaptive``: the flattening stands for torchvision's pooling too.
    """
    items = Items()
    outputs = {INPUT: source}
    for layer in layers:
        outputs[layer.name] = layer.output
        read, made = elements(outputs[layer.inputs[0]]), elements(layer.output)
        items["macs"] += layer.macs
        match layer.kind:
            case "conv":
                items["ungrouping"] += layer.macs * ((layer.groups or 1) - 1)
                items["conv_bias"] += made if layer.bias else 0
            case "linear":
                items["fc"] += layer.macs
                items["fc_outputs"] += made
                items["fc_bias"] += made if layer.bias else 0
            case "rbf":
                items["rbf"] += layer.macs
            case "batchnorm":
                items["batchnorm"] += made
                items["batchnorm_params"] += layer.params
            case "relu" | "tanh":
                items["activations"] += made
            case "maxpool":
                items["max_in"] += read
            case "subsampling":
                items["subsampling"] += layer.connections
            case "avgpool":
                items["average_in"] += read
                items["average_out"] += made
            case "flatten" if adaptive:
                items["average_in"] += read
                items["average_out"] += made
    return items


def variants(network: Network) -> dict[str, tuple[str, ...]]:
    """Which networks may stand in for this one: question of STRUCTURE -> choices."""
    family = next((family for family in FAMILIES if network.name in family), ())
    imagenet = network.input[1:] == (224, 224)
    padded = network.table.rows[0].padding is not None
    return {
        "network": family,
        "shortcut": () if network.entry.shortcut == "none" else ("A", "B", "C"),
        "stride_on": ("first", "3x3"),
        "input": ("227", *(["unpadded"] if padded else [])) if imagenet else (),
    }


def variant_items(ledger: Ledger, name: str, structure: dict[str, str]) -> Items:
    """The items of a network with some of its structure changed: question of STRUCTURE -> choice."""
    changes: dict[str, object] = {key: value for key, value in structure.items() if key in ("shortcut", "stride_on")}
    network = ledger.variant(structure.get("network", name), **changes)
    layers, source = network.layers, network.input
    if "input" in structure:
        table = _with_input(network.table, structure["input"])
        layers, source = tuple(expand(table, network.entry).layers), tuple(int(side) for side in table.input.split("x"))
    return itemise(layers, source, adaptive=network.name in ADAPTIVE)


def _with_input(table: TableEntry, choice: str) -> TableEntry:
    """The table for another input. Where conv1 is padded to make 224 fit (AlexNet), neither choice pads it."""
    side = "227" if choice == "227" else "224"
    first, *others = (row.model_copy(update={"output": None}) for row in table.rows)
    if first.padding is not None:
        first = first.model_copy(update={"padding": 0})
    return table.model_copy(update={"input": f"3x{side}x{side}", "rows": (first, *others)})
