"""LeNet-5 trained: the paper's loss, input and initial weights, and records that are read or refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repro import load_ledger
from repro.building import build
from repro.data import load
from repro.data.datasets import Dataset, Split
from repro.errors import ReproError
from repro.lectures import lenets, lessons

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def few() -> Dataset:
    """The embedded digits, an eighth of them."""
    digits = load("digits")
    return replace(digits, train=Split(digits.train.images[:180], digits.train.labels[:180]))


def test_loss_is_equation_9() -> None:
    distances = torch.tensor([[0.5, 2.0, 7.0], [3.0, 1.0, 2.0]], requires_grad=True)
    labels = torch.tensor([0, 2])
    by_hand = [y[d] + math.log(math.exp(-1.0) + sum(math.exp(-v) for v in y)) for y, d in (((0.5, 2.0, 7.0), 0), ((3.0, 1.0, 2.0), 2))]
    loss = lenets.map_loss(distances, labels, j=1.0)
    assert loss.item() == pytest.approx(sum(by_hand) / 2)
    (gradient,) = torch.autograd.grad(loss, distances)
    assert gradient[1, 2] > 0, "the right code must come nearer"
    assert gradient[1, 0] < 0, "another one must go away"


def test_loss_of_far_wrong_codes_is_the_distance_minus_j() -> None:
    assert lenets.map_loss(torch.tensor([[0.0, 1e4]]), torch.tensor([0]), j=0.0).item() == pytest.approx(math.log(2))
    assert lenets.map_loss(torch.tensor([[1e4, 2e4]]), torch.tensor([0]), j=3.0).item() == pytest.approx(1e4 - 3)


def test_field_is_32_wide_with_the_papers_levels() -> None:
    split = Split(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), torch.tensor([0, 1]))
    split.images[0, 14, 14] = 255
    images = lenets.field(split, None)
    assert images.shape == (2, 1, 32, 32)
    assert images[0, 0, 16, 16].item() == pytest.approx(1.175)
    assert torch.allclose(images[1], torch.tensor(-0.1))
    assert lenets.field(load("digits").test, lenets.DIGIT).shape == (360, 1, 32, 32)


def test_initial_weights_are_within_the_papers_bounds() -> None:
    net = build(load_ledger().network("lenet5"))
    lenets.initialise_as_in_1998(net, 0)
    f6 = net.get_submodule("F6")
    weight = f6.weight
    assert isinstance(weight, torch.Tensor)
    assert 0.99 * 2.4 / 120 < weight.abs().max().item() <= 2.4 / 120
    assert weight.mean().abs().item() < 0.001


@pytest.mark.parametrize(("number", "least", "most"), [(0, 0, 60), (1, 0, 25)])
def test_both_learn_a_few_digits(few: Dataset, number: int, least: float, most: float) -> None:
    plan = replace(lenets.PLANS["digits"][number], epochs=24 if number == 0 else 12, batch=12)
    lines: list[str] = []
    lesson = lenets.teach(plan, few, 0, 1, lines.append)
    assert least <= lesson.test_error < most
    assert lesson.train.iteration == tuple(15 * (epoch + 1) for epoch in range(plan.epochs))
    assert len(lines) == plan.epochs


def test_a_seed_gives_the_same_curves_again(few: Dataset) -> None:
    plan = replace(lenets.PLANS["digits"][0], epochs=2, batch=60)
    first, again, other = (lenets.teach(plan, few, seed, 1) for seed in (0, 0, 1))
    assert (again.train, again.test) == (first.train, first.test)
    assert other.train != first.train


def test_a_loss_that_isnt_finite_ends_the_run(few: Dataset) -> None:
    plan = replace(lenets.PLANS["digits"][1], epochs=3, lr=1e6)
    with pytest.raises(ReproError, match="lenet5-modern: the loss isn't finite in epoch"):
        lenets.teach(plan, few, 0, 1)


def test_records_are_written_once_and_not_trained_again(few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = tuple(replace(plan, epochs=1, batch=60) for plan in lenets.PLANS["digits"])
    monkeypatch.setitem(lenets.PLANS, "digits", plans)
    written = lenets.teach_all(few, tmp_path, 1, lambda line: None)
    assert [path.name for path in written] == ["digits-lenet5-seed0.json", "digits-lenet5-modern-seed0.json"]
    assert lenets.teach_all(few, tmp_path, 1, lambda line: None) == []
    assert len(lessons.load_lessons(tmp_path)) == 2
    monkeypatch.setitem(lenets.PLANS, "digits", (replace(plans[0], lr=0.001),))
    (path,) = lenets.teach_all(few, tmp_path, 1, lambda line: None)
    assert path.name == "digits-lenet5-seed0-2.json"


def test_other_data_are_refused(few: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="--data cifar10: LeNet-5 is trained on mnist or digits"):
        lenets.teach_all(replace(few, name="cifar10"), tmp_path, 1, lambda line: None)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "x.json").write_text(json.dumps({"format": 2}), encoding="utf-8")
    with pytest.raises(ReproError, match=r"x\.json: .*remove the file"):
        lessons.load_lessons(tmp_path)


def test_committed_trainings_meet_the_bars() -> None:
    """Bars that were set before: modern under 1.2 % in 3 minutes on two cores, 1998 under 1.5 %."""
    found = {(one.data.name, one.plan.network): one for one in lessons.load_lessons(ROOT / "reports" / "lecture" / lessons.FOLDER)}
    modern, old = found["mnist", "lenet5-modern"], found["mnist", "lenet5"]
    assert (modern.data.train, modern.data.test) == (60_000, 10_000)
    assert modern.test_error < 1.2
    assert modern.wall_seconds < 180
    assert old.test_error < 1.5
    assert {("digits", "lenet5"), ("digits", "lenet5-modern")} < set(found)
