from __future__ import annotations

import pytest

from repro import Ledger
from repro.throughput.timing import DType
from repro.throughput.traffic import intensity, least_traffic

#: LeNet-5 as most code has it. In and out of each layer: 1x32x32 -> 6x28x28, 6x14x14 -> 16x10x10, 400 -> 120 -> 84 -> 10.
MODERN_ACTIVATIONS = (1024 + 4704) + (1176 + 1600) + (400 + 120) + (120 + 84) + (84 + 10)
MODERN_WEIGHTS = 156 + 2416 + 48_120 + 10_164 + 850

#: ResNet-50 without batch normalisation: 25,557,032 parameters less 2 for each of 26,560 channels.
WEIGHTS_50 = 25_557_032 - 2 * 26_560


def activations_50() -> int:
    """H15 Table 1, column 50-layer, stride on the first 1x1: what each convolution takes and gives for one image."""
    total = (3 * 224**2 + 64 * 112**2) + (2048 + 1000)
    channels, side_before = 64, 56
    for width, side, blocks in ((64, 56, 3), (128, 28, 4), (256, 14, 6), (512, 7, 3)):
        taken, given = channels * side_before**2, width * side**2
        total += taken + given + 2 * given + 5 * given + (taken + 4 * given)  # 1x1, 3x3, 1x1, projection
        total += (blocks - 1) * (5 + 2 + 5) * given
        channels, side_before = 4 * width, side
    return total


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("tf32", 4), ("bfloat16", 2), ("float16", 2)])
@pytest.mark.parametrize("batch", [1, 32])
def test_a_small_network_by_hand(ledger: Ledger, dtype: DType, size: int, batch: int) -> None:
    traffic = least_traffic(ledger.network("lenet5-modern"), dtype, batch)
    assert traffic == size * (batch * MODERN_ACTIVATIONS + MODERN_WEIGHTS)  # weights once a call, not once an image
    assert MODERN_ACTIVATIONS == 9_322
    assert MODERN_WEIGHTS == 61_706


def test_resnet50_by_its_table(ledger: Ledger) -> None:
    network = ledger.network("resnet50")
    assert activations_50() == 20_725_736
    assert least_traffic(network, "float32", 1) == 4 * (20_725_736 + WEIGHTS_50) == 184_918_592
    assert intensity(network, "float32", 1) == pytest.approx(2 * 3_857_973_248 / 184_918_592)
    assert intensity(network, "float32", 1) == pytest.approx(41.73, abs=0.01)
    assert intensity(network, "float32", 64) == pytest.approx(91.32, abs=0.01)
    assert intensity(network, "bfloat16", 64) == pytest.approx(182.63, abs=0.01)


def test_lenets_subsampling_and_rbf_read_their_weights_too(ledger: Ledger) -> None:
    c3 = 6 * 3 + 9 * 4 + 6  # maps that its 16 convolutions read
    activations = (1024 + 4704) + (4704 + 1176) + (c3 * 14 * 14 + 1600) + (1600 + 400) + (400 + 120) + (120 + 84) + (84 + 10)
    weights = 156 + 12 + 1516 + 32 + 48_120 + 10_164 + 10 * 84
    assert least_traffic(ledger.network("lenet5"), "float32", 1) == 4 * (activations + weights)


def test_batch_one_of_a_network_of_weights_is_mostly_weights(ledger: Ledger) -> None:
    alexnet = ledger.network("alexnet")
    assert least_traffic(alexnet, "float32", 1) == pytest.approx(4 * alexnet.params, rel=0.02)
    assert intensity(alexnet, "float32", 1) < 6 < 150 < intensity(alexnet, "float32", 64)
