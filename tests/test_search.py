"""Which configurations are timed, by invented costs and without torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench import search
from bench.search import batch_for, candidates, eager, gains_of, grid, half_dtypes
from repro import Ledger, machine
from repro.throughput.steps import CLIMBED, ladder
from repro.throughput.timing import EAGER, Configuration, DType, Session, Task, Timing, Way

BASE = Configuration(network="resnet18", task="inference", device="cpu", batch=8, threads=2)
FIELDS = tuple(Configuration.model_fields)

Cost = Callable[[Configuration], float | None]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [0, 1])


@dataclass
class Tried:
    """Times by an invented cost in seconds, None for what fails; remembers what was tried, and against what."""

    make: Callable[..., Timing]
    cost: Cost
    seen: list[Configuration] = field(default_factory=list)
    beats: list[float | None] = field(default_factory=list)

    def __call__(self, configuration: Configuration, beat: float | None) -> Timing:
        self.seen.append(configuration)
        self.beats.append(beat)
        seconds = self.cost(configuration)
        how = configuration.model_dump() | ({"outcome": "failed"} if seconds is None else {})
        return self.make(seconds=seconds or 1.0, **how)

    @property
    def fastest(self) -> Configuration:
        return min((one for one in self.seen if self.cost(one) is not None), key=lambda one: self.cost(one) or 0.0)


@pytest.fixture
def tried(make_timing: Callable[..., Timing]) -> Callable[[Cost], Tried]:
    return lambda cost: Tried(make_timing, cost)


def differing(one: Configuration, other: Configuration) -> list[str]:
    return [name for name in FIELDS if getattr(one, name) != getattr(other, name)]


def factors(**by: float) -> Cost:
    """``factors(bfloat16=0.5, compiled=0.9)``: a second, times the factor of each word that is a part of the configuration."""

    def cost(configuration: Configuration) -> float:
        seconds = 1.0
        words = (configuration.dtype, configuration.layout, "compiled" if configuration.compiled else "eager", configuration.allocator)
        for word in words:
            seconds *= by.get(word, 1.0)
        return seconds

    return cost


def way(**changes: Any) -> Way:
    return BASE.model_copy(update=changes).way


def times(number: int) -> Callable[[], bool]:
    """Time is left so often."""
    left = iter([True] * number)
    return lambda: next(left, False)


def look(
    attempt: Tried, *dtypes: DType, left: Callable[[], bool] = lambda: True, gains: Mapping[Way, float] | None = None
) -> list[Configuration]:
    """Times eager float32, and then the search's candidates; returns what there was no time for."""
    base = attempt(BASE, None)
    return search.find_fastest(base, candidates(BASE, dtypes, gains or {}), attempt, left)


# ---------------------------------------------------------------- candidates


def test_the_highest_roof_compiled_is_the_likeliest() -> None:
    last = BASE.model_copy(update={"layout": "channels_last"})
    assert candidates(BASE, ["bfloat16", "float32"], {}) == [
        last.model_copy(update={"dtype": "bfloat16", "compiled": True}),
        last.model_copy(update={"dtype": "bfloat16"}),
        last,
        last.model_copy(update={"compiled": True}),
        BASE.model_copy(update={"dtype": "bfloat16", "compiled": True}),
    ]


def test_what_was_faster_on_other_networks_comes_first_by_its_gain() -> None:
    gains = {way(dtype="float16"): 1.5, way(layout="channels_last"): 3.0, way(compiled=True): 1.0, way(allocator="keep"): 0.5}
    wanted = candidates(BASE, ["bfloat16", "float32"], gains)
    assert wanted[:2] == [BASE.model_copy(update={"layout": "channels_last"}), BASE.model_copy(update={"dtype": "float16"})]
    assert len(wanted) == len(set(wanted)) == 6, "the first was wanted anyway"
    assert wanted[2] == candidates(BASE, ["bfloat16", "float32"], {})[0]


def test_a_gain_is_the_mean_over_networks_at_equal_batch_and_threads_in_one_session(
    make_timing: Callable[..., Timing], make_session: Callable[..., Session]
) -> None:
    session = make_session(
        make_timing("vgg-a", 1.0), make_timing("vgg-a", 0.5, dtype="bfloat16"), make_timing("vgg-a", 0.25, dtype="bfloat16", compiled=True),
        make_timing("alexnet", 1.0), make_timing("alexnet", 0.125, dtype="bfloat16"),
        make_timing("alexnet", 0.01, dtype="float16", batch=1), make_timing("alexnet", 0.01, dtype="float16", threads=1),
        make_timing("vgg-b", 0.01, dtype="float16"), make_timing("vgg-b", outcome="failed"),
        make_timing("vgg-a", 0.01, dtype="float16", outcome="failed"),
        make_timing("vgg-a", 1.0, task="training"), make_timing("vgg-a", 2.0, task="training", dtype="bfloat16"),
    )  # fmt: skip
    bf16, compiled = way(dtype="bfloat16"), way(dtype="bfloat16", compiled=True)
    gains = {bf16: (1 * 2 * 8) ** (1 / 3), compiled: (1 * 4) ** (1 / 2)}
    assert gains_of([session], "inference") == pytest.approx(gains), "twice beats once"
    slow_day = make_session(make_timing("vgg-a", 100.0), make_timing("vgg-b", 100.0), make_timing("vgg-c", 0.01, dtype="bfloat16"))
    assert gains_of([session, slow_day], "inference") == pytest.approx(gains), "nothing is held against another session"
    assert gains_of([session, session], "inference")[compiled] == pytest.approx((1 * 4 * 4) ** (1 / 3))
    assert gains_of([session], "training") == pytest.approx({bf16: 0.5 ** (1 / 2)})
    assert gains_of([], "inference") == {}


# ---------------------------------------------------------------- search


def test_each_try_is_held_against_the_best_so_far(tried: Callable[[Cost], Tried]) -> None:
    attempt = tried(factors(bfloat16=0.5, compiled=0.5))
    assert look(attempt, "bfloat16", "float32") == []
    assert attempt.beats[:3] == [None, 1.0, 0.25]
    assert set(attempt.beats[3:]) == {0.25}
    assert len(set(attempt.seen)) == len(attempt.seen)


@pytest.mark.parametrize(
    "by",
    [
        {},
        {"bfloat16": 0.3, "compiled": 0.8},
        {"bfloat16": 0.3, "compiled": 1.4, "keep": 0.9},
        {"float16": 0.2, "channels_last": 0.9},
        {"channels_last": 1.2, "compiled": 0.8},
        {"bfloat16": 2.0, "float16": 3.0, "compiled": 0.7, "keep": 0.9},
        {"bfloat16": 2.0, "float16": 3.0, "keep": 0.9, "channels_last": 1.1},
    ],
)
def test_the_fastest_of_all_is_found(tried: Callable[[Cost], Tried], ledger: Ledger, by: dict[str, float]) -> None:
    """Of every combination, one of those that are as fast as the fastest."""
    cost = factors(**by)
    attempt = tried(cost)
    dtypes: tuple[DType, ...] = ("float32", "bfloat16", "float16")
    look(attempt, *sorted(dtypes, key=lambda dtype: by.get(dtype, 1.0)))
    every = [one for one in grid(ledger.network("resnet18"), "inference", "cpu") if (one.batch, one.threads) == (BASE.batch, 2)]
    assert cost(attempt.fastest) == pytest.approx(min(cost(one) or 0.0 for one in every))
    assert len(attempt.seen) < len(every) / 2


def test_a_dtype_that_is_slower_by_a_third_is_not_compiled(tried: Callable[[Cost], Tried]) -> None:
    def compiled(factor: float) -> list[DType]:
        attempt = tried(factors(float16=factor))
        assert look(attempt, "bfloat16", "float32", "float16") == [], "what isn't worth its time isn't untried"
        return [one.dtype for one in attempt.seen if one.compiled]

    assert "float16" in compiled(1.32)
    assert "float16" not in compiled(1.35)
    assert compiled(1.35).count("bfloat16") == 2, "the one with the highest roof is compiled in both layouts"


@pytest.mark.parametrize("number", range(9))
def test_what_there_was_no_time_for_is_told(tried: Callable[[Cost], Tried], number: int) -> None:
    whole, attempt = tried(factors()), tried(factors())
    look(whole, "bfloat16", "float32")
    untried = look(attempt, "bfloat16", "float32", left=times(number))
    assert attempt.seen == whole.seen[: 1 + number]
    assert untried == whole.seen[1 + number :]
    assert len(whole.seen) == 1 + 5 + 1


def test_the_last_try_keeps_memory_in_the_best_way(tried: Callable[[Cost], Tried]) -> None:
    attempt = tried(factors(bfloat16=0.5, compiled=0.9, keep=0.5))
    look(attempt, "bfloat16", "float32")
    *others, last = attempt.seen
    best = min(others, key=lambda one: attempt.cost(one) or 0.0)
    assert last == best.model_copy(update={"allocator": "keep"})
    assert {one.allocator for one in others} == {"default"}


def test_failures_are_passed_over(tried: Callable[[Cost], Tried]) -> None:
    attempt = tried(lambda one: None if one.compiled or one == BASE else factors(bfloat16=0.5)(one))
    assert look(attempt, "bfloat16", "float32") == []
    assert attempt.beats[:4] == [None, None, None, 0.5], "nothing to beat until something is timed"
    assert attempt.fastest.dtype == "bfloat16"
    nothing = tried(lambda one: None)
    look(nothing, "float32")
    assert nothing.seen[-1] == BASE.model_copy(update={"allocator": "keep"})


# ---------------------------------------------------------------- ladder and grid


def test_steps_of_the_ladder_differ_in_one_field_each() -> None:
    steps = [step for _, step in ladder(BASE)]
    assert steps[0] == BASE
    changed = [differing(one, other) for one, other in itertools.pairwise(steps)]
    assert changed == [["layout"], ["dtype"], ["compiled"], ["allocator"]]
    assert (steps[-1].layout, steps[-1].dtype, steps[-1].compiled, steps[-1].allocator) == ("channels_last", "bfloat16", True, "keep")


@pytest.mark.parametrize(
    ("network", "device", "count"),
    [
        ("lenet5", "cpu", 2 * 2 * 2 * 2 * 2 * 3),
        ("resnet50", "cpu", 2 * 2 * 2 * 2 * 2 * 3),
        ("resnet20", "cuda", 2 * 1 * 3 * 2 * 2 * 4),
        ("vgg-d", "cuda", 2 * 1 * 4 * 2 * 2 * 4),
    ],
)
@pytest.mark.parametrize("task", ["inference", "training"])
def test_the_grid_is_the_full_product_without_repetitions(ledger: Ledger, network: str, device: str, count: int, task: Task) -> None:
    made = list(grid(ledger.network(network), task, device))
    assert len(made) == len(set(made)) == count
    values = {name: {getattr(one, name) for one in made} for name in FIELDS}
    product = 1
    for found in values.values():
        product *= len(found)
    assert product == count
    assert (values["network"], values["task"], values["device"]) == ({network}, {task}, {device})
    assert values["threads"] == ({1, 2} if device == "cpu" else {2})
    assert values["dtype"] == {"float32", *half_dtypes(device)}
    first_compiled = next(number for number, one in enumerate(made) if one.compiled)
    assert all(one.compiled for one in made[first_compiled:]), "the cheap ones first"
    assert Configuration.model_validate(made[-1].model_dump()) == made[-1]


def test_one_core_is_counted_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [0])
    made = list(grid(ledger.network("lenet5"), "inference", "cpu"))
    assert len(made) == len(set(made)) == 2 * 1 * 2 * 2 * 2 * 3


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize(
    ("network", "device", "batch"),
    [("vgg-d", "cpu", 8), ("resnet20", "cpu", 128), ("lenet5", "cpu", 128), ("resnet50", "cuda:1", 64), ("resnet20", "mps", 1024)],
)
def test_a_batch_fits_the_image_and_the_device(ledger: Ledger, network: str, device: str, batch: int) -> None:
    assert batch_for(ledger.network(network), device) == batch
    assert eager(ledger.network(network), "training", device).batch == batch


def test_a_beginners_code_runs_on_all_cores_with_the_batch_that_was_asked_for(ledger: Ledger) -> None:
    made = eager(ledger.network("vgg-d"), "training", "cpu", 7)
    assert made == Configuration(network="vgg-d", task="training", device="cpu", batch=7, threads=2)
    assert made.is_eager_fp32
    assert made.model_copy(update=dict(EAGER)) == made


@pytest.mark.parametrize(("device", "dtypes"), [("cpu", ["bfloat16", "float16"]), ("cuda:0", ["tf32", "bfloat16", "float16"])])
def test_dtypes_by_device(device: str, dtypes: list[Any]) -> None:
    assert half_dtypes(device) == dtypes


def test_networks_with_a_part_of_their_own_exist(ledger: Ledger) -> None:
    names: set[str] = {*search.QUICK, *search.GRID, CLIMBED}
    assert names <= set(ledger.networks)
    assert len(search.QUICK) == 11
