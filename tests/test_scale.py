"""Hours of the full experiment: from measured rates at 32x32 only, by known sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reports.judged import Judged
from reports.pages.scale import ON_A_GPU, hours, machines_of, makespan, scale_charts, write_scale
from repro import Ledger
from repro.recipe import NETWORKS
from repro.records import Record

Make = Callable[..., Record]

LARGE: dict[str, Any] = {"data.name": "cifar10-jpeg", "data.shape": [3, 32, 32]}
RATES = {"plain20": 800.0, "plain56": 320.0, "resnet20": 640.0, "resnet56": 256.0}


def measured(make: Make, changes: dict[str, Any] | None = None) -> tuple[Record, ...]:
    return tuple(
        make(network, 0, 5.0, LARGE | {"rate.images_per_second": [1.0, RATES[network], 9e9]} | (changes or {})) for network in NETWORKS
    )


def test_hours_of_a_run() -> None:
    assert hours(64_000 * 128 / 3600) == pytest.approx(1.0)


@pytest.mark.parametrize(("workers", "end"), [(1, 20.0), (2, 10.0), (3, 7.0), (4, 7.0), (9, 7.0)])
def test_the_longest_runs_begin_first(workers: int, end: float) -> None:
    assert makespan([3.0, 7.0, 2.0, 4.0, 4.0], workers) == end


def test_hours_by_workers_from_the_median_rate(ledger: Ledger, make_record: Make) -> None:
    (machine,) = machines_of(measured(make_record))
    assert machine.rate("plain56") == 320.0
    assert machine.hours(1) == pytest.approx(5 * sum(map(hours, RATES.values())))
    assert machine.hours(20) == machine.hours(50) == pytest.approx(hours(256.0))
    written = write_scale(Judged.of(ledger, measured(make_record)))
    full = f"{5 * sum(map(hours, RATES.values())):,.1f}"
    assert f"| Testor 9, 2 cores: 1 core a run, bfloat16 | {full} |" in written
    assert "resnet56 has 3.09 times the MACs of resnet20 and takes 2.50 times as long." in written
    assert f"| resnet110 | 2.02 | {252_887_680 / 125_485_696 * hours(256.0):,.1f} |" in written
    assert "Measured in: 1,600 of the paper's 64,000 iterations, cifar10-jpeg, 32x32." in written


@pytest.mark.parametrize("change", [{"data.shape": [3, 8, 8]}, {"settings.world": 2}, {"rate.images_per_second": []}])
def test_other_sizes_and_several_processes_give_no_rate(ledger: Ledger, make_record: Make, change: dict[str, Any]) -> None:
    judged = Judged.of(ledger, measured(make_record, change))
    assert machines_of(judged.records) == []
    assert scale_charts(judged) == ()
    assert "No record at 32x32 yet" in write_scale(judged)
    assert "|" not in write_scale(judged)


def test_a_gpu_is_not_measured_until_it_is(ledger: Ledger, make_record: Make) -> None:
    on_a_cpu = measured(make_record)
    on_a_gpu = measured(make_record, {"settings.device": "cuda", "environment.hardware": "GPU X"})
    assert f"`{ON_A_GPU}` adds its rows" in write_scale(Judged.of(ledger, on_a_cpu))
    both = write_scale(Judged.of(ledger, on_a_cpu + on_a_gpu))
    assert "not measured here" not in both
    assert "| GPU X: one cuda device a run, bfloat16 | resnet56 | 256 | 1 to 9,000,000,000 | 1 | 96 | 8.9 |" in both


def test_a_machine_without_all_networks_has_rates_and_no_hours(ledger: Ledger, make_record: Make) -> None:
    judged = Judged.of(ledger, measured(make_record)[:2])
    written = write_scale(judged)
    assert "| plain56 | 320 |" in written
    assert "Hours by number of workers" not in written
    assert scale_charts(judged) == ()
