"""The paper's numbers, and what a scaled copy keeps of them."""

from __future__ import annotations

import pytest

from repro.errors import ReproError
from repro.recipe import WARM_UP_DEPTH, Recipe, paper_recipe


def rates(recipe: Recipe) -> list[tuple[int, float]]:
    """Each learning rate of a recipe, with the iteration from which on it holds."""
    changes: list[tuple[int, float]] = []
    for i in range(recipe.iterations):
        rate = round(recipe.lr_at(i), 12)
        if not changes or changes[-1][1] != rate:
            changes.append((i, rate))
    return changes


def test_the_papers_recipe_is_section_4_2() -> None:
    recipe = paper_recipe(20)
    assert (recipe.iterations, recipe.batch, recipe.momentum, recipe.weight_decay) == (64_000, 128, 0.9, 1e-4)
    assert rates(recipe) == [(0, 0.1), (32_000, 0.01), (48_000, 0.001)]
    assert (recipe.pad, recipe.mirror, recipe.warm_up_lr) == (4, True, None)
    assert (recipe.log_every, recipe.test_every, recipe.last_stretch) == (500, 1_000, 63_000)


def test_a_scaled_recipe_keeps_the_shape() -> None:
    recipe = paper_recipe(20, 1_200, pad=1, mirror=False)
    assert rates(recipe) == [(0, 0.1), (600, 0.01), (900, 0.001)]
    assert (recipe.log_every, recipe.test_every, recipe.last_stretch) == (10, 60, 1_050)
    assert (recipe.batch, recipe.momentum, recipe.weight_decay) == (128, 0.9, 1e-4)


@pytest.mark.parametrize(("depth", "lr"), [(20, None), (56, None), (104, None), (110, 0.01), (1202, 0.01)])
def test_only_110_layers_and_more_warm_up(depth: int, lr: float | None) -> None:
    recipe = paper_recipe(depth, 1_600)
    assert WARM_UP_DEPTH == 110
    assert (recipe.warm_up_lr, recipe.warm_up_error) == (lr, 80.0)
    assert recipe.lr_at(0, warming_up=True) == (lr or 0.1)
    assert recipe.lr_at(0, warming_up=False) == 0.1


@pytest.mark.parametrize(
    ("iterations", "log", "test"),
    [(16, 1, 1), (199, 1, 9), (200, 2, 10), (1_200, 10, 60), (5_000, 50, 250), (16_000, 100, 800), (63_999, 500, 3_000)],
)
def test_the_log_interval_is_round_and_divides_the_test_interval(iterations: int, log: int, test: int) -> None:
    recipe = paper_recipe(20, iterations)
    assert (recipe.log_every, recipe.test_every) == (log, test)
    assert recipe.test_every % recipe.log_every == 0


def test_the_last_eighth_has_eight_points_at_least() -> None:
    for iterations in range(64, 10_000, 7):
        recipe = paper_recipe(20, iterations)
        points = {*range(recipe.log_every, iterations + 1, recipe.log_every), iterations}
        assert sum(point > recipe.last_stretch for point in points) >= 8, iterations


@pytest.mark.parametrize("iterations", [1, 15])
def test_too_few_iterations_are_refused(iterations: int) -> None:
    with pytest.raises(ReproError, match=rf"^{iterations} iterations are too few.*give --iterations 16 or more$"):
        paper_recipe(20, iterations)
