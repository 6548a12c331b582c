"""A file of papers/ that is wrong in one place: one line that names the file, the key, the value, what was expected and the cure."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import Ledger, load_ledger
from repro.claims import judge_claim
from repro.errors import TableError

LENET, ALEXNET, VGG, RESNET = "lenet5.toml", "alexnet.toml", "vgg.toml", "resnet.toml"
Edit = Callable[..., Path]


def use(folder: Path) -> Ledger:
    """Reads a folder, expands every network and judges every claim."""
    ledger = load_ledger(folder)
    for name in ledger.networks:
        ledger.network(name)
    for claim in ledger.claims:
        judge_claim(ledger, claim).to_json()
    return ledger


def complaint(folder: Path) -> str:
    with pytest.raises(TableError) as caught:
        use(folder)
    message = str(caught.value)
    assert message.isprintable(), "one line"
    assert len(message) < 1_000
    return message


def test_the_copy_is_read_before_it_is_edited(edited: Edit) -> None:
    assert len(use(edited(VGG)).networks) == 34


#: (file, what is replaced, by what, the key and the value that are named, what was expected)
VALUES = [
    (VGG, "year = 2015", 'year = "2015"', "paper.year: '2015'", "a valid integer"),
    (VGG, "year = 2015", "year = 2015.0", "paper.year: 2015.0", "a valid integer"),
    (VGG, "year = 2015", "year = -1", "paper.year: -1", "greater than or equal to 1900"),
    (VGG, "year = 2015", "year = 0x" + "f" * 5000, "paper.year: 'int'", "less than or equal to 2100"),
    (VGG, "conv_bias = true", "conv_bias = 1", "tables[0].rules.conv_bias: 1", "a valid boolean"),
    (VGG, '["relu"]', '["gelu"]', "tables[0].rules.conv_then[0]: 'gelu'", "'batchnorm', 'relu' or 'tanh'"),
    (VGG, "kernel = 2", "kernel = -2", "tables[0].rules.maxpool.kernel: -2", "greater than or equal to 1"),
    (VGG, "p = 0.5", "p = 1.5", "tables[0].rules.dropout.p: 1.5", "less than 1"),
    (VGG, "k = 2.0", "k = inf", "tables[0].rules.lrn.k: inf", "a finite number"),
    (VGG, '"fc7"]', '"fc77"]', "tables[0].rules: {", "names of rows in dropout.layers, not 'fc77'"),
    (VGG, '["A", "A-LRN"', '["A", "A"', "tables[0].columns: ['A', 'A'", "a different name for each column"),
    (VGG, "[networks.vgg-a]", "[networks.VGG]", "networks.VGG.[key]: 'VGG'", "text of the pattern"),
    (VGG, 'name = "pool1"', 'name = "pool 1"', "tables[0].rows[1].name: 'pool 1'", "text of the pattern"),
    (VGG, 'cell = "maxpool"', 'cell = ""', "tables[0].rows[1].cell: ''", "at least 1 character"),
    (VGG, 'cell = "maxpool"', 'cell = "m", cells = ["m"]', "tables[0].rows[1]: {", "either 'cell'"),
    (VGG, 'cell = "maxpool"', 'cell = "' + "m" * 10**6 + '"', "tables[0].rows[1].cell: 'mmm", "at most 2000 characters"),
    (VGG, "year = 2015", f"year = {'[' * 120}{']' * 120}", "paper.year: [[[[", "a valid integer"),
    (VGG, 'cells = ["11"]', 'cells = ["11", "1"]', "grids[0]: {", "1 cells in rows[0]"),
    (VGG, 'id = "vgg-d/one', 'id = "vgg-d/One', "claims[1].id: 'vgg-d/One", "text of the pattern"),
    (VGG, 'scale = "million"', 'scale = "zillion"', "grids[1].scale: 'zillion'", "'million' or 'billion'"),
    (RESNET, 'shortcut = "A"', 'shortcut = "D"', "networks.resnet18.shortcut: 'D'", "'none', 'A', 'B' or 'C'"),
    (RESNET, "n = 3", "n = -3", "networks.plain20.n: -3", "greater than or equal to 1"),
    (RESNET, "n = 3", "n = 1001", "networks.plain20.n: 1001", "less than or equal to 1000"),
    (RESNET, '"conv4_1"] #', '"conv4_l"] #', "tables[1].downsampling: [", "names of blocks"),
    (RESNET, "3x32x32", "3x32", "tables[1].input: '3x32'", "text of the pattern"),
    (RESNET, "3x32x32", "3x32x99999999", "tables[1].input: '3x32x99999999'", "text of the pattern"),
    (LENET, '"X...XXX..XXXX.XX"', '"X...XXX..XXXX.X"', "tables[0].partial: [", "rows of equal length"),
    (LENET, '"X...XXX..XXXX.XX"', '"X...XXX..XXXX.XO"', "tables[0].partial[0]: 'X...", "text of the pattern"),
    (LENET, '1 = [".......", ', "1 = [", "codes.1: [", "at least 12 items"),
    (LENET, '1 = [".......", ', '1 = [".......", ".......", ', "codes.1: [", "at most 12 items"),
    (ALEXNET, 'cell = "LRN"', "cells = []", "tables[0].rows[1].cells: []", "at least 1 item"),
    (ALEXNET, 'where = "K14, public code"', 'where = "Section 3.5"', "tables: [", "'Section 3.5' stands twice"),
    (ALEXNET, 'claim = "alexnet/conv1/neurons"', 'claim = "alexnet/neurons"', "deviations: [", "stands twice"),
]  # fmt: skip
ROWS = [
    (VGG, 'cell = "maxpool"', 'cell = "minpool"', "tables[0].rows[1]: 'minpool'",
     "vgg-a: layer 'minpool' is in no paper's notation"),
    (VGG, 'cell = "maxpool"', 'cell = "[maxpool] x2"', "tables[0].rows[1]: '[maxpool] x2'",
     "vgg-a: pool1: a block holds convolutions"),
    (VGG, 'cell = "maxpool"', 'cell = "FC-10"', "tables[0].rows[2]: 'conv3-128'",
     "vgg-a: conv2_1: needs maps, but pool1_relu gives a vector of 10"),
    (VGG, 'cell = "maxpool"', 'cell = "conv3-99999; conv3-99999"', "tables[0].rows[1]", "vgg-a: there is a layer 'pool1' already"),
    (VGG, "maxpool = { kernel = 2, stride = 2 }", "", "tables[0].rows[1]: 'maxpool'",
     "vgg-a: pool1: neither the cell nor rules.maxpool"),
    (VGG, "lrn = {", "# ", "tables[0].rows[0]: 'conv3-64; LRN'", "vgg-a-lrn: a lrn layer needs its constants in rules.lrn"),
    (VGG, "kernel = 2, stride = 2", "kernel = 3, stride = 9", "tables[0].rows[7]: 'maxpool'",
     "vgg-a: pool4: a window of 3 doesn't fit in 1x1"),
    (ALEXNET, "3x3x256", "3x3x255", "tables[0].rows[6]: '384 kernels of size 3x3x255'",
     "alexnet: conv3: kernels 255 deep on 256 maps"),
    (ALEXNET, "256 kernels", "255 kernels", "tables[0].rows[3]",
     "alexnet: conv2: 96 maps in and 255 out don't divide into 2 groups"),
    (ALEXNET, 'name = "norm1"', 'name = "conv1"', "tables[0].rows[1]: 'LRN'", "alexnet: there is a layer 'conv1' already"),
    (ALEXNET, 'name = "norm1"', 'name = "input"', "tables[0].rows[1]: 'LRN'", "alexnet: there is a layer 'input' already"),
    (LENET, "6@28x28", "6@27x27", "tables[0].rows[0]",
     "lenet5: C1: convolution 5x5, 6@27x27 prints maps of 27x27, the rows give 28x28"),
    (LENET, "6@14x14", "7@14x14", "tables[0].rows[1]", "lenet5: S2: subsampling prints 7 maps on 6"),
    (LENET, '  "...XXX..XXXX.XXX",\n', "", "tables[0].rows[2]", "lenet5: C3: 'partial' must have 6 rows and 16 columns"),
    (LENET, "16@10x10, Table I", "17@10x10, Table I", "tables[0].rows[2]", "lenet5: C3: 'partial' must have 6 rows and 17 columns"),
    (RESNET, 'output = "56x56"', 'output = "55x55"', "tables[0].rows[1]",
     "plain18: the paper prints an output of 55x55, the rows give 56x56"),
    (RESNET, 'output = "7x7"', 'output = "1x1"', "tables[0].rows[5]",
     "plain18: the paper prints an output of 1x1, the rows give 7x7"),
    (RESNET, "3x224x224", "99999x99999x99999", "tables[0].rows[0]",
     "plain18: the paper prints an output of 112x112, the rows give 50000x50000"),
    (RESNET, "pool_padding = 1", "pool_padding = 2", "tables[0].rows[1]",
     "plain18: conv2_maxpool: a padding of 2 is more than half"),
    (RESNET, "n = 3, ", "", "tables[1].rows[1]", "plain20: block [3x3, 16; 3x3, 16] xn stands n times, but the network gives no n"),
    (RESNET, "3x3, 16] xn", "3x3, 15] xn", "tables[1].rows[1]",
     "resnet20: conv2_1.pad: option A can't take 16 maps to 15"),
    (RESNET, ', "conv5_1"] #', "] #", "tables[0].rows[5]", "plain18: the paper prints an output of 7x7, the rows give 14x14"),
    (RESNET, "average pool; 1000-d fc", "1000-d fc; average pool", "tables[0].rows[6]", "plain18: avgpool: needs maps"),
]  # fmt: skip

#: The same, and the cure.
NAMES = [
    (VGG, "year = 2015\n", "", "paper.year: None", "a value", "add the key 'year'"),
    (VGG, "conv_bias =", "conv_bais =", "tables[0].rules.conv_bais: 'conv_bais'", "one of the keys", "did you mean 'conv_bias'?"),
    (VGG, "[paper]", "[paper]\nhue = 1", "paper.hue: 'hue'", "authors, key, source, title, year", "remove it"),
    (VGG, "[paper]", '[paper]\n"a\\nb" = 1', "paper.'a\\nb': 'a\\nb'", "one of the keys", "remove it"),
    (VGG, 'table = "Table 1"', 'table = "Table 9"', "networks.vgg-a.table: 'Table 9'", "one of 'Table 1'", "correct the name"),
    (VGG, 'column = "A"', 'column = "F"', "networks.vgg-a.column: 'F'", "one of 'A', 'A-LRN', 'B'", "correct the name"),
    (VGG, 'column = "A"\n', "", "networks.vgg-a.column: None", "one of 'A', 'A-LRN', 'B'", "correct the name"),
    (ALEXNET, 'table = "Section 3.5"', 'table = "Section 3.5"\ncolumn = "A"', "networks.alexnet.column: 'A'", "no column",
     "remove the key"),
    (VGG, '"conv3-64", "conv3-64; LRN"', '"conv3-64; LRN"', "tables[0].rows[0].cells: ['conv3-64; LRN'",
     "6 cells, one for each column", "add or remove cells"),
    (VGG, "[networks.vgg-b]", "[networks.alexnet]", "networks.alexnet: 'alexnet'", "a new name (alexnet.toml has it)",
     "rename one"),
    (VGG, 'training = "imagenet"', 'training = "imagenot"', "grids[2].rows[0].training: 'imagenot'", "one of 'imagenet'",
     "correct the name"),
    (ALEXNET, 'network = "alexnet"', 'network = "alexnot"', "claims[0].network: 'alexnot'", "the name of a network",
     "did you mean 'alexnet'?"),
    (ALEXNET, 'network = "alexnet"', 'network = "qqqqqqq"', "claims[0].network: 'qqqqqqq'", "the name of a network",
     "see `repro list`"),
    (ALEXNET, 'networks = ["alexnet"]', 'networks = ["alexnex"]', "readings[0].networks: 'alexnex'", "the name of a network",
     "did you mean 'alexnet'?"),
    (ALEXNET, 'claim = "alexnet/neurons"', 'claim = "alexnet/neuron"', "deviations[0].claim: 'alexnet/neuron'",
     "the id of a claim of this file", "did you mean 'alexnet/neurons'?"),
    (ALEXNET, 'claim = "alexnet/neurons"', 'claim = "vgg-a/params"', "deviations[0].claim: 'vgg-a/params'",
     "the id of a claim of this file", "?"),
    (ALEXNET, 'quantity = "neurons"', 'quantity = "params"', "claims[1]: 'alexnet/params'",
     "a claim id of its own (alexnet.toml claims[0] has it)", "give the claim another id"),
    (VGG, 'cells = ["133"]', 'cells = ["1e33"]', "grids[1].rows[0].printed: '1e33'", "a number such as '138'",
     "write it as printed"),
    (VGG, 'cells = ["133"]', 'cells = ["133M"]', "grids[1].rows[0].printed: '133M'",
     "a number without 'M', since 'scale' says 'million'", "write it as printed"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "named", "expected"), VALUES, ids=[f"{row[0]} {row[3]}" for row in VALUES])
def test_a_wrong_value_is_named_with_what_was_expected(edited: Edit, file: str, old: str, new: str, named: str, expected: str) -> None:
    message = complaint(edited(file, (old, new)))
    assert message.startswith(f"{file}: {named}")
    assert expected in message.split(": expected ")[1]
    assert message.endswith("; correct the value")


@pytest.mark.parametrize(("file", "old", "new", "named", "expected"), ROWS, ids=[f"{row[0]} {row[4]}" for row in ROWS])
def test_a_row_that_does_not_fit_is_named_with_its_network(edited: Edit, file: str, old: str, new: str, named: str, expected: str) -> None:
    message = complaint(edited(file, (old, new)))
    assert message.startswith(f"{file}: {named}")
    assert f": expected a row that fits those above it for {expected}" in message
    assert message.endswith("; correct the row")


@pytest.mark.parametrize(("file", "old", "new", "named", "expected", "cure"), NAMES, ids=[f"{row[0]} {row[3]!r}" for row in NAMES])
def test_a_wrong_name_is_named_with_its_cure(edited: Edit, file: str, old: str, new: str, named: str, expected: str, cure: str) -> None:
    message = complaint(edited(file, (old, new)))
    assert message.startswith(f"{file}: {named}")
    assert expected in message.split(": expected ")[1]
    assert message.endswith(cure)


@pytest.mark.parametrize(
    ("old", "new", "held", "wanted"),
    [
        ("Euclidean RBF, 10", "Euclidean RBF, 12", 10, "12 drawings of 84 pixels for OUTPUT of lenet5"),
        ("fully connected, 84", "fully connected, 85", 10, "10 drawings of 85 pixels for OUTPUT of lenet5"),
        ("\n9 = [", "\n# [", 9, "10 drawings of 84 pixels for OUTPUT of lenet5"),
    ],
)
def test_output_units_need_a_drawing_each(edited: Edit, old: str, new: str, held: int, wanted: str) -> None:
    message = complaint(edited(LENET, (old, new)))
    assert message == f"lenet5.toml: codes: '{held} drawings': expected {wanted}; a drawing has 84; correct the codes or the row"


def test_a_network_of_too_many_layers_is_refused_before_it_eats_the_memory(edited: Edit) -> None:
    block = "[" + "1x1, 64; " * 50 + "3x3, 64] x1000"
    message = complaint(edited(RESNET, ("[3x3, 64; 3x3, 64] x2", block)))
    assert message.startswith("resnet.toml: tables[0].rows[2]: '[1x1, 64; 1x1, 64;")
    assert message.endswith("a row that fits those above it for plain18: more than 50000 layers; correct the row")


def test_a_soft_max_in_a_row_of_its_own_changes_nothing(ledger: Ledger, edited: Edit) -> None:
    own_row = 'cell = "FC-1000" },\n  { name = "out", cell = "soft-max" }'
    split = use(edited(VGG, ('cell = "FC-1000; soft-max" }', own_row)))
    assert split.network("vgg-d").layers == ledger.network("vgg-d").layers


HUGE = """
paper = { key = "T99", title = "T", authors = "A", year = 1999, source = "S" }
networks = { huge = { table = "Table 1" } }
[[tables]]
where = "Table 1"
input = "99999x99999x99999"
rows = [{ name = "conv1", cell = "conv3-99999" }, { name = "fc2", cell = "FC-99999" }]
rules = { conv_bias = false, conv_then = [], padding = "same" }
"""


def test_huge_maps_are_counted_and_not_allocated(tmp_path: Path) -> None:
    (tmp_path / "huge.toml").write_text(HUGE, encoding="utf-8")
    tracemalloc.start()
    network = use(tmp_path).network("huge")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert network.macs == 9 * 99_999**4 + 99_999**4
    assert peak < 20 * 2**20
