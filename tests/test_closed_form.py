"""Counts from the printed tables alone: every network against integers that were worked out elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro import Ledger
from repro.counting import closed_form as cf
from repro.layers import Layer

#: network: (trainable parameters, MACs for one image). Arithmetic, and public implementations that agree to the digit.
COUNTS = {
    "lenet5": (60_000, 326_520),
    "lenet5-modern": (61_706, 416_520),
    "alexnet": (60_965_224, 724_406_816),
    "alexnet-owt": (61_100_840, 714_188_480),
    "vgg-a": (132_863_336, 7_609_090_048),
    "vgg-a-lrn": (132_863_336, 7_609_090_048),
    "vgg-b": (133_047_848, 11_308_466_176),
    "vgg-c": (133_638_952, 11_770_888_192),
    "vgg-d": (138_357_544, 15_470_264_320),
    "vgg-e": (143_667_240, 19_632_062_464),
    "plain18": (11_515_688, 1_794_805_760),
    "plain34": (21_623_848, 3_644_493_824),
    "resnet18": (11_515_688, 1_794_805_760),
    "resnet34": (21_623_848, 3_644_493_824),
    "resnet18-b": (11_689_512, 1_814_073_344),
    "resnet34-b": (21_797_672, 3_663_761_408),
    "resnet34-c": (22_716_840, 3_830_747_136),
    "resnet50": (25_557_032, 3_857_973_248),
    "resnet101": (44_549_160, 7_570_194_432),
    "resnet152": (60_192_808, 11_282_415_616),
    "resnet50-v1.5": (25_557_032, 4_089_184_256),
    "resnet101-v1.5": (44_549_160, 7_801_405_440),
    "resnet152-v1.5": (60_192_808, 11_513_626_624),
    "plain20": (269_722, 40_551_040),
    "plain32": (464_154, 68_862_592),
    "plain44": (658_586, 97_174_144),
    "plain56": (853_018, 125_485_696),
    "plain110": (1_727_962, 252_887_680),
    "resnet20": (269_722, 40_551_040),
    "resnet32": (464_154, 68_862_592),
    "resnet44": (658_586, 97_174_144),
    "resnet56": (853_018, 125_485_696),
    "resnet110": (1_727_962, 252_887_680),
    "resnet1202": (19_421_274, 2_829_238_912),
}
CIFAR = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18, 1202: 200}


def test_the_networks_are_these(ledger: Ledger) -> None:
    assert list(ledger.networks) == list(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_macs_are_exact(ledger: Ledger, name: str) -> None:
    network = ledger.network(name)
    assert (network.params, network.macs) == COUNTS[name]
    assert network.fixed_params == (840 if name == "lenet5" else 0)


@pytest.mark.parametrize(
    ("row", "params", "connections", "output"),
    [
        ("C1", 156, 122_304, (6, 28, 28)),
        ("S2", 12, 5_880, (6, 14, 14)),
        ("C3", 1_516, 151_600, (16, 10, 10)),
        ("S4", 32, 2_000, (16, 5, 5)),
        ("C5", 48_120, 48_120, (120, 1, 1)),
        ("F6", 10_164, 10_164, (84,)),
        ("OUTPUT", 0, 840, (10,)),
    ],
)
def test_rows_of_lenet5_have_the_printed_parameters_and_connections(
    ledger: Ledger, row: str, params: int, connections: int, output: tuple[int, ...]
) -> None:
    layers = ledger.network("lenet5").layers_of(row)
    assert sum(layer.params for layer in layers) == params
    assert sum(layer.connections for layer in layers) == connections
    assert output in {layer.output for layer in layers}


def test_c3_sees_the_maps_of_table_1(ledger: Ledger) -> None:
    columns = "012 123 234 345 045 015 | 0123 1234 2345 0345 0145 0125 0134 1245 0235 | 012345".replace("|", "")
    selected = [layer.constants["maps"] for layer in ledger.network("lenet5").layers if layer.kind == "select"]
    assert selected == [[int(digit) for digit in column] for column in columns.split()]


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("alexnet", 665_784_864),
        ("vgg-a", 7_485_456_384),
        ("vgg-b", 11_184_832_512),
        ("vgg-c", 11_647_254_528),
        ("vgg-d", 15_346_630_656),
        ("vgg-e", 19_508_428_800),
    ],
)
def test_convolutions_alone_have_these_macs(ledger: Ledger, name: str, macs: int) -> None:
    assert sum(layer.macs for layer in ledger.network(name).layers if layer.kind == "conv") == macs


def test_alexnet_has_the_maps_and_the_two_towers_of_figure_2(ledger: Ledger) -> None:
    layers = [layer for layer in ledger.network("alexnet").layers if layer.kind in ("conv", "linear")]
    assert [layer.output for layer in layers] == [
        (96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13), (4096,), (4096,), (1000,)
    ]  # fmt: skip
    assert [layer.groups for layer in layers] == [1, 2, 1, 2, 2, None, None, None]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("alexnet", "flatten fc6 fc6_relu fc6_dropout fc7 fc7_relu fc7_dropout fc8"),
        ("alexnet-owt", "flatten fc6_dropout fc6 fc6_relu fc7_dropout fc7 fc7_relu fc8"),
        ("vgg-d", "flatten fc6 fc6_relu fc6_dropout fc7 fc7_relu fc7_dropout fc8"),
    ],
)
def test_dropout_stands_where_the_paper_or_the_public_code_has_it(ledger: Ledger, name: str, order: str) -> None:
    names = [layer.name for layer in ledger.network(name).layers]
    assert names[names.index("flatten") :] == order.split()


def test_response_normalisation_follows_the_relu_of_conv1_and_conv2(ledger: Ledger) -> None:
    names = [layer.name for layer in ledger.network("alexnet").layers]
    assert names[:8] == ["conv1", "conv1_relu", "norm1", "pool1", "conv2", "conv2_relu", "norm2", "pool2"]
    assert [layer.name for layer in ledger.network("vgg-a-lrn").layers if layer.kind == "lrn"] == ["conv1_lrn"]


@pytest.mark.parametrize(
    ("name", "block", "order"),
    [
        ("plain20", "conv3_1", "conv1 conv1_bn conv1_relu conv2 conv2_bn conv2_relu"),
        ("resnet20", "conv2_1", "conv1 conv1_bn conv1_relu conv2 conv2_bn add add_relu"),
        ("resnet20", "conv3_1", "conv1 conv1_bn conv1_relu conv2 conv2_bn pad add add_relu"),
        ("resnet34-b", "conv3_1", "conv1 conv1_bn conv1_relu conv2 conv2_bn projection projection_bn add add_relu"),
        (
            "resnet50",
            "conv2_1",
            "conv1 conv1_bn conv1_relu conv2 conv2_bn conv2_relu conv3 conv3_bn projection projection_bn add add_relu",
        ),
    ],
)
def test_a_block_adds_its_shortcut_before_the_last_relu(ledger: Ledger, name: str, block: str, order: str) -> None:
    parts = [layer.name.removeprefix(f"{block}.") for layer in ledger.network(name).layers if layer.name.startswith(f"{block}.")]
    assert parts == order.split()


def test_shortcuts_come_from_the_end_of_the_block_before(ledger: Ledger) -> None:
    inputs = {layer.name: layer.inputs for layer in ledger.network("resnet20").layers}
    assert inputs["conv2_1.add"] == ("conv2_1.conv2_bn", "conv1_relu")
    assert inputs["conv2_2.add"] == ("conv2_2.conv2_bn", "conv2_1.add_relu")
    assert inputs["conv3_1.pad"] == ("conv2_3.add_relu",)
    assert inputs["conv3_1.add"] == ("conv3_1.conv2_bn", "conv3_1.pad")


@pytest.mark.parametrize(("depth", "n"), CIFAR.items())
def test_cifar_networks_follow_their_formula(ledger: Ledger, depth: int, n: int) -> None:
    """Section 4.2: 6n+2 layers. Weights of 3x3 convolutions on 16, 32, 64 maps, BN behind each, and the 10-way fc."""
    weights = 9 * (3 * 16 + 16 * 16 * 2 * n + 16 * 32 + 32 * 32 * (2 * n - 1) + 32 * 64 + 64 * 64 * (2 * n - 1))
    normalisation = 2 * (16 + 2 * n * (16 + 32 + 64))
    network = ledger.network(f"resnet{depth}")
    assert network.params == weights + normalisation + 64 * 10 + 10
    assert sum(layer.kind in ("conv", "linear") for layer in network.layers) == depth == 6 * n + 2
    assert sum(layer.kind == "add" for layer in network.layers) == 3 * n
    assert [layer.constants["zeros"] for layer in network.layers if layer.kind == "pad"] == [16, 32]


@pytest.mark.parametrize("depth", CIFAR)
def test_option_b_on_cifar_always_adds_the_same(ledger: Ledger, depth: int) -> None:
    a, b = ledger.network(f"resnet{depth}"), ledger.variant(f"resnet{depth}", shortcut="B")
    assert (b.params - a.params, b.macs - a.macs) == (2_752, 262_144)


@pytest.mark.parametrize(
    ("name", "stride_on", "macs"),
    [
        ("resnet50", "first", "3.498"),
        ("resnet50", "3x3", "3.730"),
        ("resnet101", "first", "7.211"),
        ("resnet101", "3x3", "7.442"),
        ("resnet152", "first", "10.923"),
        ("resnet152", "3x3", "11.154"),
    ],
)
def test_option_a_on_bottlenecks_has_fewer_macs(ledger: Ledger, name: str, stride_on: str, macs: str) -> None:
    assert f"{ledger.variant(name, shortcut='A', stride_on=stride_on).macs / 10**9:.3f}" == macs


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_the_place_of_the_stride_changes_no_parameter(ledger: Ledger, depth: int) -> None:
    first, second = ledger.network(f"resnet{depth}"), ledger.network(f"resnet{depth}-v1.5")
    assert first.params == second.params
    assert second.macs - first.macs == 231_211_008
    strided = [layer.name for layer in second.layers if layer.kind == "conv" and layer.stride == (2, 2)]
    assert strided == ["conv1"] + [f"conv{stage}_1.{part}" for stage in (3, 4, 5) for part in ("conv2", "projection")]


@pytest.mark.parametrize(("option", "projections"), [("none", 0), ("A", 0), ("B", 3), ("C", 16)])
def test_shortcut_options_project_so_often(ledger: Ledger, option: str, projections: int) -> None:
    layers = ledger.variant("resnet34", shortcut=option).layers
    assert sum(layer.name.endswith(".projection") for layer in layers) == projections
    assert sum(layer.kind == "add" for layer in layers) == (0 if option == "none" else 16)
    assert sum(layer.kind == "pad" for layer in layers) == (3 if option == "A" else 0)


def maps(channels: int, height: int, width: int | None = None) -> Layer:
    return Layer("below", "input", (), (channels, height, width or height))


@given(size=st.integers(1, 40), kernel=st.integers(1, 12), stride=st.integers(1, 5), padding=st.integers(0, 6))
def test_a_window_fits_as_often_as_it_can_be_placed(size: int, kernel: int, stride: int, padding: int) -> None:
    places = len(range(-padding, size + padding - kernel + 1, stride))
    if places < 1:
        with pytest.raises(cf.ShapeError, match=f"a window of {kernel} doesn't fit in {size}x{size} with padding {padding}"):
            cf.conv("conv", maps(3, size), 4, kernel, stride=stride, padding=padding, bias=True)
        return
    conv = cf.conv("conv", maps(3, size), 4, kernel, stride=stride, padding=padding, bias=True)
    assert conv.output == (4, places, places)
    assert conv.params == 4 * 3 * kernel**2 + 4
    assert conv.macs == 4 * 3 * kernel**2 * places**2


def test_groups_divide_weights_and_macs() -> None:
    conv = cf.conv("conv2", maps(96, 27), 256, 5, padding=2, groups=2, bias=True)
    assert (conv.params, conv.macs) == (307_456, 223_948_800)


def test_maps_need_not_be_square() -> None:
    assert cf.conv("conv", maps(1, 7, 9), 2, 3, bias=False).output == (2, 5, 7)
    assert cf.flatten("flatten", maps(2, 5, 7)).output == (70,)


def test_a_shortcut_of_zeros_takes_every_second_pixel() -> None:
    pad = cf.pad("pad", maps(16, 7, 8), 32, 2)
    assert (pad.output, pad.constants, pad.params, pad.macs) == ((32, 4, 4), {"zeros": 16}, 0, 0)


VECTOR = Layer("below", "linear", (), (10,))


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (lambda: cf.conv("c", VECTOR, 4, 3, bias=True), "c: needs maps, but below gives a vector of 10"),
        (lambda: cf.pointwise("norm", "lrn", VECTOR), "norm: needs maps"),
        (lambda: cf.linear("fc", maps(3, 8), 10), r"fc: needs a vector, but below gives maps of \(3, 8, 8\)"),
        (lambda: cf.rbf("out", maps(3, 8), 10), "out: needs a vector"),
        (lambda: cf.conv("c", maps(3, 8), 4, 3, groups=2, bias=True), "c: 3 maps in and 4 out don't divide into 2 groups"),
        (lambda: cf.maxpool("p", maps(3, 2), 3, 2), "p: a window of 3 doesn't fit in 2x2"),
        (lambda: cf.maxpool("p", maps(3, 8), 3, 2, 2), "p: a padding of 2 is more than half of the window of 3"),
        (lambda: cf.add("sum", maps(3, 8), maps(4, 8)), r"sum: the body gives \(3, 8, 8\) and the shortcut \(4, 8, 8\)"),
        (lambda: cf.pad("pad", maps(8, 8), 4, 1), "pad: option A can't take 8 maps to 4"),
        (lambda: cf.select("s", maps(3, 8), [0, 3]), r"s: maps \[0, 3\] of 3"),
        (lambda: cf.select("s", maps(3, 8), []), r"s: maps \[\] of 3"),
    ],
)
def test_rows_that_do_not_fit_name_both_sides(layer: object, why: str) -> None:
    assert callable(layer)
    with pytest.raises(cf.ShapeError, match=why):
        layer()
