from __future__ import annotations

from collections.abc import Callable

import pytest

from repro import Ledger
from repro.throughput.planner import plan, recipes
from repro.throughput.timing import Session, Timing

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]


@pytest.mark.parametrize(
    ("network", "images", "where"),
    [
        ("lenet5", 20 * 60_000, "L98 Section III.B"),
        ("alexnet", 90 * 1_200_000, "K12 Section 5"),
        ("vgg-a", 94_720_000, "S14 Section 3.1"),
        ("vgg-e", 94_720_000, "S14 Section 3.1"),
        ("plain34", 153_600_000, "H15 Section 3.4"),
        ("resnet152", 153_600_000, "H15 Section 3.4"),
        ("plain32", 8_192_000, "H15 Section 4.2"),
        ("resnet110", 8_192_000, "H15 Section 4.2"),
    ],
)
def test_recipes_are_the_papers(ledger: Ledger, network: str, images: int, where: str) -> None:
    recipe = recipes(ledger)[network]
    assert (recipe.network, recipe.images, recipe.where) == (network, images, where)


def test_a_recipe_says_how_its_images_come_about(ledger: Ledger) -> None:
    assert recipes(ledger)["resnet50"].says == "60e4 * 256 images of ILSVRC-2012 (1.28 million images)"


def test_every_network_has_a_recipe(ledger: Ledger) -> None:
    assert tuple(recipes(ledger)) == ledger.networks


def test_the_two_lengths_of_vggs_training_agree_as_printed(ledger: Ledger) -> None:
    assert round(recipes(ledger)["vgg-d"].images / 1_281_167) == 74


def test_days_are_images_over_the_best_rate(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    rows = [
        make_timing("resnet50", 2.0, task="training", batch=32),  # 16 images/s
        make_timing("resnet50", 2.0, task="training", batch=64, dtype="bfloat16"),  # 32 images/s
        make_timing("resnet50", 0.1, task="inference", batch=64),
        make_timing("alexnet", 1.0, task="training", batch=128),
        make_timing("vgg-d", task="training", outcome="failed"),
        make_timing("squeezenet", task="training"),
    ]
    resnet, alexnet = plan(make_session(*rows), ledger)
    assert (resnet.network, alexnet.network) == ("resnet50", "alexnet")
    assert resnet.configuration == rows[1].configuration
    assert resnet.days == pytest.approx(153_600_000 / 32 / 86_400)  # 55.6
    assert resnet.measured_seconds == pytest.approx(11 * 2.0 * 4)  # blocks, seconds a call, calls a block
    assert resnet.extrapolation == pytest.approx(153_600_000 / 32 / 88)
    assert alexnet.days == pytest.approx(9.766, abs=0.001)


def test_no_training_no_plan(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    assert plan(make_session(make_timing("resnet50")), ledger) == []
