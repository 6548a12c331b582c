"""The machine's own best rates: what is counted, and that a small one is found."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from bench import jobs, roof
from bench.roof import find_all, find_copy_rate, find_roof
from repro.throughput.timing import Configuration, Copy, DType, Roof

Find = Callable[..., Any]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is measured here is measured shortly; what finding a roof changes for good is changed back."""
    monkeypatch.setattr(roof, "MIN_SECONDS", 0.01)
    threads, precision = torch.get_num_threads(), cast(Any, torch.backends).fp32_precision
    yield
    torch.set_num_threads(threads)
    cast(Any, torch.backends).fp32_precision = precision


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, dict[str, Any]]]:
    """What would be measured, each taking half a second, and a product of side 64 twice as long."""
    made: list[tuple[str, int, dict[str, Any]]] = []

    def take(statement: str, threads: int, **names: Any) -> float:
        made.append((statement, threads, names))
        return 1.0 if "a" in names and len(names["a"]) == 64 else 0.5

    monkeypatch.setattr(roof, "_median", take)
    return made


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_product_is_of_two_square_matrices_in_its_dtype(asked: list[tuple[str, int, dict[str, Any]]], dtype: DType) -> None:
    found = find_roof(dtype, "cpu", 2, (16, 64))
    assert [(product.n, product.flops) for product in found.products] == [(16, 2 * 16**3 / 0.5), (64, 2 * 64**3)]
    assert (found.dtype, found.threads) == (dtype, 2)
    for statement, threads, names in asked:
        assert eval(statement, names).shape == (len(names["a"]),) * 2
        assert threads == 2
        assert {names["a"].dtype, names["b"].dtype} == {getattr(torch, dtype)}


def test_the_roof_is_the_best_of_its_sizes(asked: list[tuple[str, int, dict[str, Any]]]) -> None:
    assert find_roof("float32", "cpu", 1, (60, 64)).flops == 2 * 60**3 / 0.5, "the larger one is slower here"


@pytest.mark.parametrize(("dtype", "precision"), [("tf32", "tf32"), ("float32", "ieee")])
def test_tf32_is_on_only_where_it_is_measured(asked: list[tuple[str, int, dict[str, Any]]], dtype: DType, precision: str) -> None:
    cast(Any, torch.backends).fp32_precision = "ieee" if precision == "tf32" else "tf32"
    find_roof(dtype, "cpu", 1, (16,))
    assert cast(Any, torch.backends).cuda.matmul.fp32_precision == precision


def test_a_copy_reads_and_writes_each_byte(asked: list[tuple[str, int, dict[str, Any]]]) -> None:
    assert find_copy_rate("cpu", 1, 4_000).bytes_per_second == 2 * 4_000 / 0.5
    ((statement, _, names),) = asked
    names["source"] *= 7
    exec(statement, names)
    assert names["target"].nbytes == names["source"].nbytes == 4_000
    assert names["target"].equal(names["source"])


def test_what_is_copied_fits_no_cache_by_default() -> None:
    assert roof.COPIED >= 2**28
    assert max(roof.SIZES) >= 4096


def test_a_median_is_torchs_on_as_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def make(statement: str, globals: dict[str, Any], num_threads: int) -> Any:
        asked.append((statement, globals, num_threads))
        return SimpleNamespace(blocked_autorange=lambda min_run_time: SimpleNamespace(times=[5.0, 1.0, 2.0]))

    monkeypatch.setattr(roof, "Timer", make)
    assert roof._median("a @ b", 3, a=1, b=2) == 2.0
    assert asked == [("a @ b", {"a": 1, "b": 2}, 3)]


@pytest.mark.parametrize("threads", [1, 2])
def test_tiny_ones_are_found_for_real(threads: int) -> None:
    found = find_roof("float32", "cpu", threads, (64, 256))
    assert [product.n for product in found.products] == [64, 256]
    assert 1e7 < min(product.flops for product in found.products) <= found.flops < 1e14
    assert 1e7 < find_copy_rate("cpu", threads, 2**22).bytes_per_second < 1e13


def test_what_a_process_prints_are_roofs_and_a_copy_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roof, "find_roof", functools.partial(cast(Find, find_roof), sizes=(32,)))
    monkeypatch.setattr(roof, "find_copy_rate", functools.partial(cast(Find, find_copy_rate), size=2**20))
    found = json.loads(json.dumps(find_all("cpu", 2, ["float32", "bfloat16"])))
    assert [Roof.model_validate(one).dtype for one in found["roofs"]] == ["float32", "bfloat16"]
    assert [Copy.model_validate(one).threads for one in found["copies"]] == [2]
    assert torch.get_num_threads() == 2


@pytest.mark.slow
def test_a_real_process_finds_the_roof_of_this_machine() -> None:
    base = Configuration(network="lenet5", task="inference", device="cpu", batch=1, threads=1)
    ended = jobs.run_module("bench.roof", '{"device": "cpu", "threads": 1, "dtypes": ["float32"]}', jobs.variables(base), 300.0)
    assert ended.reason is None
    (found,) = (Roof.model_validate(one) for one in ended.found["roofs"])
    assert [product.n for product in found.products] == list(roof.SIZES)
    assert found.flops > 1e9
    assert Copy.model_validate(ended.found["copies"][0]).bytes_per_second > 1e8
