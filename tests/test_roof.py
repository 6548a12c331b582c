"""The machine's own best rates: what is counted, and that a small one is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import jobs, roof
from bench.roof import find_all, find_copy_rate, find_roof
from bench.workload import use_tf32
from repro.throughput.timing import Configuration, Copy, DType, Roof

pytestmark = pytest.mark.usefixtures("torch_as_it_was")

#: Seconds for a size of product.
SHORT = 0.01


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured here is measured shortly."""
    monkeypatch.setattr(roof, "LIMIT", SHORT)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the calls give that would be measured, each taking half a second, a product of side 64 twice as long, and one of side 16 by
    oneDNN half as long."""
    made: list[Any] = []

    def take(call: Callable[[], Tensor], device: str, limit: float) -> float:
        made.append(call())
        shape = made[-1].shape
        assert limit == (SHORT if len(shape) == 1 else SHORT / 2), "a copy has all of it, and either way to multiply half"
        return 1.0 if 64 in shape else 0.25 if shape == (16, 16) and made[-1].is_mkldnn else 0.5

    monkeypatch.setattr(roof, "_median", take)
    return made


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_product_is_of_two_square_matrices_in_its_dtype(asked: list[Any], dtype: DType) -> None:
    found = find_roof(dtype, "cpu", 2, (16, 64), SHORT)
    rates = [
        (16, "matmul", 2 * 16**3 / 0.5), (16, "oneDNN", 2 * 16**3 / 0.25), (64, "matmul", 2 * 64**3), (64, "oneDNN", 2 * 64**3)
    ]  # fmt: skip
    assert [(product.n, product.by, product.flops) for product in found.products] == rates
    assert (found.dtype, found.threads, torch.get_num_threads()) == (dtype, 2, 2)
    assert [product.shape for product in asked] == [(16, 16), (16, 16), (64, 64), (64, 64)]
    assert [product.is_mkldnn for product in asked] == [False, True, False, True]
    assert {product.dtype for product in asked} == {getattr(torch, dtype)}


def test_both_ways_give_the_same_product(asked: list[Any]) -> None:
    find_roof("float32", "cpu", 1, (24,), SHORT)
    product, other = asked
    torch.testing.assert_close(other.to_dense(), product)


def test_without_onednn_there_is_one_way(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(roof, "_median", lambda call, device, limit: limit)
    (product,) = find_roof("float32", "cpu", 1, (24,), SHORT).products
    assert (product.by, product.flops) == ("matmul", 2 * 24**3 / SHORT), "with all of the time"


def test_the_roof_is_the_best_of_its_sizes_and_ways(asked: list[Any]) -> None:
    assert find_roof("float32", "cpu", 1, (16, 20), SHORT).flops == 2 * 16**3 / 0.25 > 2 * 20**3 / 0.5
    assert find_roof("float32", "cpu", 1, (60, 64), SHORT).flops == 2 * 60**3 / 0.5, "the larger one is slower here"


@pytest.mark.parametrize(("dtype", "precision"), [("tf32", "tf32"), ("float32", "ieee")])
def test_tf32_is_on_only_where_it_is_measured(asked: list[Any], dtype: DType, precision: str) -> None:
    use_tf32(precision == "ieee")
    find_roof(dtype, "cpu", 1, (16,), SHORT)
    assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is (precision == "tf32")


def test_a_copy_reads_and_writes_each_byte(asked: list[Any]) -> None:
    assert find_copy_rate("cpu", 1, SHORT, 4_000).bytes_per_second == 2 * 4_000 / 0.5
    assert asked[0].nbytes == 4_000
    assert asked[0].min() == 1


def test_what_is_copied_fits_no_cache_by_default() -> None:
    assert roof.COPIED >= 2**28
    assert max(roof.SIZES) >= 4096


def test_a_rate_is_the_median_of_three_blocks_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roof, "measure", invented_measure)
    assert roof._median(lambda: None, "cpu", SHORT) == 2.0


def invented_measure(call: Callable[[], object], device: str, limit: float, fewest: int) -> Any:
    assert (limit, fewest) == (SHORT, 3)
    return SimpleNamespace(seconds=(5.0, 1.0, 2.0))


@pytest.mark.parametrize("threads", [1, 2])
def test_tiny_ones_are_found_for_real(threads: int) -> None:
    found = find_roof("float32", "cpu", threads, (64, 256), SHORT)
    assert [product.n for product in found.products] == [64, 64, 256, 256]
    assert 1e7 < min(product.flops for product in found.products) <= found.flops < 1e14
    assert 1e7 < find_copy_rate("cpu", threads, SHORT, 2**22).bytes_per_second < 1e13


def test_what_a_process_prints_are_roofs_and_a_copy_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roof, "COPIED", 2**20)
    found = json.loads(json.dumps(find_all("cpu", 2, ["float32", "bfloat16"], (32,), SHORT)))
    assert [Roof.model_validate(one).dtype for one in found["roofs"]] == ["float32", "bfloat16"]
    assert [Copy.model_validate(one).threads for one in found["copies"]] == [2]
    assert torch.get_num_threads() == 2


@pytest.mark.slow
def test_a_real_process_finds_the_roof_of_this_machine() -> None:
    base = Configuration(network="lenet5", task="inference", device="cpu", batch=1, threads=1)
    task = {"device": "cpu", "threads": 1, "dtypes": ["float32"], "sizes": [256, 512], "limit": 0.1}
    ended = jobs.run_module("bench.roof", json.dumps(task), jobs.variables(base), 300.0)
    assert ended.reason is None
    (found,) = (Roof.model_validate(one) for one in ended.found["roofs"])
    assert [(product.n, product.by) for product in found.products] == [(n, by) for n in (256, 512) for by in ("matmul", "oneDNN")]
    assert found.flops > 1e9
    assert Copy.model_validate(ended.found["copies"][0]).bytes_per_second > 1e8
