"""What a count may do otherwise than the ledger: one table of choices, one record that holds a choice of each.

The ledger counts the multiply-accumulates (MACs) of convolutions, fully connected layers and LeNet-5's RBF, of the
network as its paper has it, in 10^9, rounded. Every other choice is a departure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

#: No departure: the network, or the count, as the ledger has it.
OWN = ""


@dataclass(frozen=True, slots=True)
class Convention:
    """One choice for each question; OWN where it departs from nothing. The values are the keys of CHOICES."""

    network: str = OWN
    shortcut: str = OWN
    stride_on: str = OWN
    input: str = OWN
    groups: str = OWN
    fc: str = OWN
    rbf: str = OWN
    bias: str = OWN
    batchnorm: str = OWN
    pooling: str = OWN
    activations: str = OWN
    unit: str = OWN
    giga: str = OWN
    digits: str = OWN

    @property
    def departures(self) -> dict[str, str]:
        """The questions with another choice than the ledger's, in the order of CHOICES."""
        return {name: value for name in QUESTIONS if (value := getattr(self, name)) != OWN}


#: The questions, in the order in which a bridge answers them.
QUESTIONS = tuple(question.name for question in fields(Convention))
#: Those that change the network itself, those that change what is counted of it, and those that only change how it is written.
STRUCTURE = ("network", "shortcut", "stride_on", "input")
COUNTED = ("groups", "fc", "rbf", "bias", "batchnorm", "pooling", "activations")
NUMERALS = ("giga", "digits")

Weights = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """A departure in words, and what it adds: so many times each item, to the MACs or to the other operations.

    The items are those of :func:`repro.conventions.items.itemise`. ``{average}`` and the like in the words are filled in for the network.
    """

    words: str
    macs: Weights = field(default_factory=dict)
    other: Weights = field(default_factory=dict)


#: question -> choice -> its words and weights. That an element costs 2 or 4 is what the tools in attested.py take it to cost.
CHOICES: dict[str, dict[str, Choice]] = {
    "network": {
        "alexnet": Choice("the two towers of 2012 (alexnet)"),
        "alexnet-owt": Choice("the one tower of 2014 (alexnet-owt)"),
        "lenet5": Choice("the network of 1998 (lenet5)"),
        "lenet5-modern": Choice("the network of public code (lenet5-modern)"),
    },
    "shortcut": {
        "A": Choice("shortcut option A (zeros)"),
        "B": Choice("shortcut option B (projections where the size changes)"),
        "C": Choice("shortcut option C (projections everywhere)"),
    },
    "stride_on": {
        "first": Choice("stride on the first 1x1 (v1)"),
        "3x3": Choice("stride on the 3x3 (v1.5)"),
    },
    "input": {
        "227": Choice("227x227 input"),
        "unpadded": Choice("224x224 input without padding on conv1 (54x54 maps)"),
    },
    "groups": {"none": Choice("without groups: every kernel sees all maps", macs={"ungrouping": 1})},
    "fc": {
        "none": Choice("without the FC layers", macs={"fc": -1}),
        "both": Choice("multiplications and additions of the FC layers", macs={"fc": -1}, other={"fc": 2, "fc_outputs": -1}),
    },
    "rbf": {"none": Choice("without the RBF output", macs={"rbf": -1})},
    "bias": {
        "conv": Choice("biases of convolutions, 1 per output", other={"conv_bias": 1}),
        "all": Choice("biases, 1 per output", other={"conv_bias": 1, "fc_bias": 1}),
    },
    "batchnorm": {
        "2": Choice("BN, 2 per element", other={"batchnorm": 2}),
        "4": Choice("BN, 4 per element", other={"batchnorm": 4}),
        "params": Choice("BN, its parameters once", other={"batchnorm_params": 1}),
    },
    "pooling": {
        "average": Choice("{average}, 1 per input", other={"average_in": 1}),
        "average in and out": Choice("{average}, 1 per input and 1 per output", other={"average_in": 1, "average_out": 1}),
        "all": Choice("max pooling{and_average}, 1 per input", other={"max_in": 1, "average_in": 1}),
        "all twice": Choice("max pooling{and_average}, 2 per input", other={"max_in": 2, "average_in": 2}),
        "subsampling": Choice("subsampling, 1 per input and 1 per bias", other={"subsampling": 1}),
    },
    "activations": {
        "once": Choice("activations, 1 per element", other={"activations": 1}),
        "twice": Choice("activations, 2 per element", other={"activations": 2}),
    },
    "unit": {"FLOP": Choice("FLOPs: 2 for each MAC")},
    "giga": {"binary": Choice("divided by {binary}, not {decimal}")},
    "digits": {"cut off": Choice("cut off, not rounded")},
}  # fmt: skip
