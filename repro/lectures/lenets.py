"""LeNet-5 trained: as in 1998, with fixed codes and the paper's loss (L98 section II.B and II.C), and as most code has it today.

The optimiser isn't the paper's, which steps after each image with a rate of its own for each weight (stochastic diagonal
Levenberg-Marquardt): batches and momentum here, and 10 passes over MNIST instead of 20. The page says so beside the error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from repro.building import PaperNet, build
from repro.data import Dataset, Split
from repro.data.augmenting import batch_indices
from repro.errors import ReproError
from repro.lectures.lessons import Lesson, Plan, load_lessons, write_lesson
from repro.lectures.running import cpu_threads
from repro.machine import environment
from repro.measuring import EVALUATION_BATCH, evaluating
from repro.records import Curve
from repro.tables import load_ledger
from repro.training import describe, initialise

FIELD = 32  #: pixels; a digit is at most 20x20 in the middle (L98 section II.B)
PAPER, INK = -0.1, 1.175  #: L98 section II.B
DIGIT = 20

PLANS = {
    "mnist": (Plan("lenet5", "MAP", 10, 64, 0.004, j=1.0), Plan("lenet5-modern", "cross-entropy", 6, 64, 0.08, weight_decay=5e-4)),
    "digits": (Plan("lenet5", "MAP", 40, 32, 0.004, j=1.0), Plan("lenet5-modern", "cross-entropy", 40, 32, 0.02, weight_decay=5e-4)),
}


def map_loss(distances: Tensor, labels: Tensor, j: float) -> Tensor:
    """L98 eq. 9: the distance to the right code, and ``log(e^-j + sum_i e^-y_i)``, which pushes the other codes away.

    ``distances`` are (batch, classes), ``labels`` int64 (batch,); the result is the mean over the batch.
    """
    right = distances.gather(1, labels[:, None])[:, 0]
    others = torch.cat([-distances, distances.new_full((len(labels), 1), -j)], 1)
    return (right + others.logsumexp(1)).mean()


def initialise_as_in_1998(net: nn.Module, seed: int) -> None:
    """Uniform in +-2.4 / fan-in (L98 appendix A), biases too; the coefficients of S2 and S4 start at 1 / window, as they're built."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            width = 2.4 / module.weight[0].numel()
            for values in (module.weight, module.bias):
                if values is not None:
                    nn.init.uniform_(values, -width, width, generator=generator)


def field(split: Split, digit: int | None) -> Tensor:
    """Images as LeNet-5 sees them: float32 (N, 1, 32, 32), -0.1 for paper and 1.175 for ink.

    ``digit`` is the side to which smaller images are enlarged first.
    """
    images = split.images[..., :1].permute(0, 3, 1, 2).float() / 255
    if digit is not None:
        images = functional.interpolate(images, size=digit, mode="bilinear")
    around = FIELD - images.shape[-1]
    return functional.pad(images, (around // 2, around - around // 2) * 2) * (INK - PAPER) + PAPER


def teach(plan: Plan, data: Dataset, seed: int, threads: int, tell: Callable[[str], None] = lambda line: None) -> Lesson:
    """Trains one network to the end of its plan, on the CPU."""
    with cpu_threads(threads):
        return _teach(plan, data, seed, threads, tell)


def _teach(plan: Plan, data: Dataset, seed: int, threads: int, tell: Callable[[str], None]) -> Lesson:
    where = environment()  # before the minutes in which somebody may edit a file
    digit = DIGIT if data.train.images.shape[1] < DIGIT else None
    images, labels, tests = field(data.train, digit), data.train.labels, field(data.test, digit)
    net = build(load_ledger().network(plan.network))
    (initialise_as_in_1998 if plan.loss == "MAP" else initialise)(net, seed)
    steps = len(labels) // plan.batch
    optimizer = torch.optim.SGD(net.parameters(), lr=plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.lr, total_steps=plan.epochs * steps, cycle_momentum=False)
    train: list[tuple[int, float, float]] = []
    test: list[tuple[int, float, float]] = []
    began = time.monotonic()
    for epoch in range(plan.epochs):
        losses, wrong = torch.zeros(()), 0
        for step in range(steps):
            chosen = batch_indices(seed, epoch * steps + step, plan.batch, len(labels))
            output = net(images[chosen])
            loss = _loss(plan, output, labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses += loss.detach()
            wrong += int((_answers(plan, output) != labels[chosen]).sum())
        if not losses.isfinite():
            raise ReproError(f"{plan.network}: the loss isn't finite in epoch {epoch + 1}; lower lr in repro/lectures/lenets.py")
        done = (epoch + 1) * steps
        train.append((done, losses.item() / steps, 100 * wrong / (steps * plan.batch)))
        test.append((done, *_score(plan, net, tests, data.test.labels)))
        errors = f"training error {train[-1][2]:.2f} %, test error {test[-1][2]:.2f} %"
        tell(f"{plan.network} on {data.name}: epoch {epoch + 1} of {plan.epochs}, {errors}")
    return Lesson(
        format=1,
        plan=plan,
        seed=seed,
        threads=threads,
        data=describe(data),
        environment=where,
        train=_curve(train),
        test=_curve(test),
        wall_seconds=round(time.monotonic() - began, 1),
    )


def teach_all(data: Dataset, folder: Path, threads: int, tell: Callable[[str], None], *, again: bool = False) -> list[Path]:
    """Trains both networks where there is no record of the same plan and data yet; returns the records that were written."""
    described = describe(data)
    known = [] if again else [(lesson.plan, lesson.data) for lesson in load_lessons(folder)]
    missing = [plan for plan in plans_for(data.name) if (plan, described) not in known]
    return [write_lesson(teach(plan, data, 0, threads, tell), folder) for plan in missing]


def plans_for(data: str) -> tuple[Plan, ...]:
    """How both are trained on these data. Raises ReproError for others than PLANS has."""
    if data not in PLANS:
        raise ReproError(f"--data {data}: LeNet-5 is trained on {' or '.join(PLANS)}; give one of them")
    return PLANS[data]


def _loss(plan: Plan, output: Tensor, labels: Tensor) -> Tensor:
    return map_loss(output, labels, plan.j) if plan.loss == "MAP" else functional.cross_entropy(output, labels)


def _answers(plan: Plan, output: Tensor) -> Tensor:
    """The nearest code, or the highest score."""
    return output.argmin(1) if plan.loss == "MAP" else output.argmax(1)


def _score(plan: Plan, net: PaperNet, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean loss, and error in per cent."""
    with evaluating(net):
        outputs = torch.cat([net(part) for part in torch.split(images, EVALUATION_BATCH)])
    return _loss(plan, outputs, labels).item(), 100 * int((_answers(plan, outputs) != labels).sum()) / len(labels)


def _curve(points: list[tuple[int, float, float]]) -> Curve:
    iterations, losses, errors = zip(*points, strict=True)
    return Curve(iteration=iterations, loss=losses, error=errors)
