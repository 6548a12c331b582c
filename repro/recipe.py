"""How a network is trained: H15 section 4.2, and copies of it on a smaller scale. A recipe is data, and it's frozen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from repro.errors import ReproError

#: The experiment: plain against residual, at the depths of H15 Figures 1 and 6, and from how many seeds by default.
NETWORKS = ("plain20", "plain56", "resnet20", "resnet56")
SEEDS = 3

PAPER_ITERATIONS = 64_000

#: From this depth on, training starts at a learning rate of 0.01 (H15 section 4.2 says so of 110 layers).
WARM_UP_DEPTH = 110

#: A scaled run that teaches something, for data that is easier than CIFAR-10.
SCALED_ITERATIONS = {"digits": 1_200, "mnist": 1_200, "fashion-mnist": 1_200}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about a training run that isn't the network, the seed, the data or the machine.

    Weights are initialised as He et al. 2015 do (normal, variance 2 / fan-in). The learning rate is multiplied by
    ``drop_factor`` after each of ``drops`` (iterations). Where there is a ``warm_up_lr``, it holds until the running training
    error is below ``warm_up_error`` per cent. ``pad`` is in pixels; ``log_every`` and ``test_every`` in iterations.
    """

    iterations: int
    drops: tuple[int, ...]
    log_every: int
    test_every: int
    pad: int
    mirror: bool
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    drop_factor: float = 0.1
    warm_up_lr: float | None = None
    warm_up_error: float = 80.0

    def lr_at(self, iteration: int, warming_up: bool = False) -> float:
        """The learning rate of an iteration, counted from 0."""
        if warming_up and self.warm_up_lr is not None:
            return self.warm_up_lr
        return self.lr * self.drop_factor ** sum(iteration >= drop for drop in self.drops)

    @property
    def last_stretch(self) -> int:
        """The iteration after which the running error counts: the paper's last 1,000 of 64,000 or, scaled, the last eighth."""
        return self.iterations - (1_000 if self.iterations == PAPER_ITERATIONS else self.iterations // 8)


def paper_recipe(depth: int, iterations: int = PAPER_ITERATIONS, *, pad: int = 4, mirror: bool = True, batch: int = 128) -> Recipe:
    """The paper's recipe (H15 section 4.2), or the same shape in fewer ``iterations``: drops at 1/2 and 3/4, no other change.

    Raises ReproError where the run is too short to be logged.
    """
    log_every = _log_interval(iterations)
    if iterations < 16:
        raise ReproError(
            f"{iterations} iterations are too few: the log interval is {log_every}, and the curve needs 16; give --iterations 16 or more"
        )
    return Recipe(
        iterations=iterations,
        drops=(iterations // 2, iterations * 3 // 4),
        log_every=log_every,
        test_every=max(log_every, iterations // (64 if iterations == PAPER_ITERATIONS else 20) // log_every * log_every),
        pad=pad,
        mirror=mirror,
        batch=batch,
        warm_up_lr=0.01 if depth >= WARM_UP_DEPTH else None,
    )


def depth_of(name: str) -> int:
    """The number in a name: ``plain56`` has 56 layers with weights."""
    return int(re.sub(r"\D", "", name))


def _log_interval(iterations: int) -> int:
    """A round number of which about a hundred, and at least eight in the last eighth, fit into the run: 10 of 1,200, 500 of 64,000."""
    steps = (digit * power for power in (1, 10, 100, 1_000, 10_000) for digit in (1, 2, 5))
    return max([step for step in steps if step * 100 <= iterations] or [1])
