from __future__ import annotations

from collections.abc import Callable

import pytest

from repro.throughput.crossover import Crossover, find_crossover
from repro.throughput.timing import Session, Timing

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]
Find = Callable[[dict[int, float], dict[int, float]], Crossover]


@pytest.fixture
def find(make_timing: MakeTiming, make_session: MakeSession) -> Find:
    """Seconds by batch on the CPU, and on the GPU, of which 0.1 are the transfer."""

    def found(cpu: dict[int, float], gpu: dict[int, float]) -> Crossover:
        slow = [make_timing(seconds=seconds, batch=batch) for batch, seconds in cpu.items()]
        quick = [make_timing(seconds=seconds - 0.1, batch=batch, device="cuda", transfer=0.1) for batch, seconds in gpu.items()]
        return find_crossover(make_session(*slow), make_session(*quick, hardware="Testor GPU", device="cuda"), "resnet18", "inference")

    return found


def test_the_smallest_batch_from_which_on_the_gpu_is_faster(find: Find) -> None:
    crossover = find({1: 0.2, 2: 0.4, 4: 0.8, 8: 1.6, 16: 3.2}, {4: 0.7, 2: 0.45, 1: 0.3, 8: 0.8, 32: 1.0})
    assert (crossover.batch, crossover.reason) == (4, None)
    assert [point.batch for point in crossover.points] == [1, 2, 4, 8]  # common ones, in order
    assert [point.gpu_seconds for point in crossover.points] == pytest.approx([0.3, 0.45, 0.7, 0.8])
    assert crossover.sentence == "resnet18 inference: Testor GPU is faster than Testor 9, 2 cores from batch 4 on"


def test_a_batch_at_which_the_gpu_falls_back_moves_the_crossover(find: Find) -> None:
    assert find({1: 0.2, 2: 0.4, 4: 0.8, 8: 1.6}, {1: 0.3, 2: 0.3, 4: 0.9, 8: 1.0}).batch == 8


def test_the_transfer_counts(make_timing: MakeTiming, make_session: MakeSession) -> None:
    cpu = make_session(make_timing(seconds=0.2, batch=1), make_timing(seconds=0.4, batch=2))
    rows = [make_timing(seconds=0.15, batch=batch, device="cuda", transfer=0.1) for batch in (1, 2)]
    gpu = make_session(*rows, hardware="Testor GPU")
    assert find_crossover(cpu, gpu, "resnet18", "inference").batch == 2
    unknown = make_session(*(make_timing(seconds=0.15, batch=batch, device="cuda") for batch in (1, 2)), hardware="Testor GPU")
    assert find_crossover(cpu, unknown, "resnet18", "inference").points == ()


def test_the_best_row_of_each_batch_is_compared(make_timing: MakeTiming, make_session: MakeSession) -> None:
    cpu = make_session(
        make_timing(seconds=0.5), make_timing(seconds=0.3, dtype="bfloat16"), make_timing(compiled=True, outcome="failed"),
        make_timing("alexnet", 0.01), make_timing(seconds=0.01, task="training"),
    )  # fmt: skip
    gpu = make_session(
        make_timing(seconds=0.1, device="cuda", transfer=0.3), make_timing(seconds=0.2, device="cuda", transfer=0.01, dtype="tf32"),
        hardware="Testor GPU",
    )  # fmt: skip
    (point,) = find_crossover(cpu, gpu, "resnet18", "inference").points
    assert (point.cpu.configuration.dtype, point.gpu.configuration.dtype) == ("bfloat16", "tf32")
    assert (point.cpu_seconds, point.gpu_seconds) == pytest.approx((0.3, 0.21))


def test_within_the_noise_floor_the_gpu_is_not_faster(find: Find) -> None:
    assert find({1: 0.2, 2: 0.4, 4: 0.8}, {1: 0.3, 2: 0.399, 4: 0.5}).batch == 4
    assert find({1: 0.2, 2: 0.4, 4: 0.8}, {1: 0.3, 2: 0.38, 4: 0.5}).batch == 2


def test_the_larger_of_both_noise_floors_counts(make_timing: MakeTiming, make_session: MakeSession) -> None:
    loud = {"same": (make_timing("alexnet", 1.0), make_timing("alexnet", 1.3))}
    slow, quick = make_timing(seconds=0.4), make_timing(seconds=0.35, device="cuda", transfer=0.0)
    for cpu, gpu, faster in (({}, {}, True), (loud, {}, False), ({}, loud, False)):
        found = find_crossover(
            make_session(slow, **cpu), make_session(quick, hardware="Testor GPU", device="cuda", **gpu), "resnet18", "inference"
        )
        assert [point.gpu_is_faster for point in found.points] == [faster]


@pytest.mark.parametrize(
    ("cpu", "gpu", "reason"),
    [
        ({1: 0.4, 8: 0.8}, {1: 0.2, 8: 0.3}, "Testor GPU is faster than Testor 9, 2 cores at every batch measured, from 1 on"),
        ({8: 0.4}, {8: 0.2}, "Testor GPU is faster than Testor 9, 2 cores at every batch measured, from 8 on"),
        ({1: 0.1, 8: 0.2}, {1: 0.2, 8: 0.3}, "Testor GPU is faster than Testor 9, 2 cores at no batch measured, up to 8"),
        ({1: 0.4, 8: 0.2}, {1: 0.2, 8: 0.3}, "Testor GPU isn't faster than Testor 9, 2 cores at the largest batch measured, 8"),
        ({1: 0.4}, {2: 0.2}, "no batch was timed both on Testor 9, 2 cores and, with its transfer, on Testor GPU"),
        ({}, {}, "no batch was timed both on Testor 9, 2 cores and, with its transfer, on Testor GPU"),
    ],
)
def test_where_nothing_is_overtaken_the_reason_says_how(find: Find, cpu: dict[int, float], gpu: dict[int, float], reason: str) -> None:
    crossover = find(cpu, gpu)
    assert (crossover.batch, crossover.reason) == (None, reason)
    assert crossover.sentence == f"resnet18 inference: {reason}"
