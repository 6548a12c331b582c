"""How fast counting is, against torchinfo, fvcore and torch's own FlopCounterMode, on torchvision's ten networks.

Run it with ``pytest bench/test_counting.py``. Each network is built and counted anew by every counter, in turns within
one process, and the best of the turns counts. The closed form is timed as whole processes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchinfo
import torchvision
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.conftest import Bars
from repro.counting.with_fvcore import count_macs_with_fvcore
from repro.counting.with_torch import OnMeta, count_macs

NETWORKS = ("alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
SHAPE = (3, 224, 224)


def built(name: str) -> nn.Module:
    module: nn.Module = torchvision.models.get_model(name).eval()
    return module


def ours(name: str) -> int:
    with OnMeta():
        module = built(name)
    return count_macs(module, SHAPE)


def by_torchinfo(name: str) -> int:
    return int(torchinfo.summary(built(name), input_size=(1, *SHAPE), verbose=0).total_mult_adds)


def by_fvcore(name: str) -> int:
    return count_macs_with_fvcore(built(name), SHAPE)


def by_flop_counter_mode(name: str) -> int:
    with FlopCounterMode(display=False) as mode, torch.no_grad(), torch.device("meta"):
        built(name)(torch.empty(1, *SHAPE))
    return int(mode.get_total_flops()) // 2


def seconds(count: Callable[[str], int], name: str) -> float:
    start = time.perf_counter()
    count(name)
    return time.perf_counter() - start


@pytest.mark.parametrize("name", NETWORKS)
def test_counting_a_network(benchmark: BenchmarkFixture, bars: Bars, name: str) -> None:
    macs = benchmark.pedantic(ours, (name,), rounds=10, warmup_rounds=2)
    assert macs == by_flop_counter_mode(name) == by_fvcore(name)
    peers = {"torchinfo": by_torchinfo, "fvcore": by_fvcore, "FlopCounterMode": by_flop_counter_mode}
    turns = [{peer: seconds(count, name) for peer, count in {"ours": ours, **peers}.items()} for _ in range(3)]
    best = {peer: min(turn[peer] for turn in turns) for peer in turns[0]}
    ratios = {peer: best[peer] / best["ours"] for peer in peers}
    benchmark.extra_info |= {"macs": macs} | {f"faster_than_{peer}": round(ratio, 2) for peer, ratio in ratios.items()}
    bars.add(f"{name}: torchinfo.summary / ours", ratios["torchinfo"], ">= 10", ratios["torchinfo"] >= 10)


def process(command: list[str]) -> float:
    """Seconds from start to end of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


MEMORY = """
import psutil, torch
from repro.checking import check_ledger
from repro.tables import load_ledger
before = psutil.Process().memory_info().rss
check_ledger(load_ledger())
print((psutil.Process().memory_info().rss - before) / 2**20)
"""


def test_the_whole_check(benchmark: BenchmarkFixture, bars: Bars) -> None:
    command = [sys.executable, "-m", "repro", "check"]
    wall = min(benchmark.pedantic(process, (command,), rounds=1), process(command), process(command))
    bars.add("repro check, all networks, one process", wall, "<= 8", wall <= 8, "s")
    result = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    memory = float(result.stdout)
    bars.add("repro check, memory above import torch", memory, "<= 250", memory <= 250, "MiB")


LOADED = """
import contextlib, io, sys
from repro.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["check", "--closed-form"])
names = [name for name in sys.modules if not name.startswith(("repro", "_")) and all(part.isidentifier() for part in name.split("."))]
print("\\n".join(f"import {name}" for name in names))
"""


def test_the_closed_form_check(benchmark: BenchmarkFixture, bars: Bars, tmp_path: Path) -> None:
    """Against a process that only imports what this command has imported by its end, our own modules excepted."""
    imports = tmp_path / "imports.py"
    imports.write_text(subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True).stdout)
    check = [sys.executable, "-m", "repro", "check", "--closed-form"]

    turns = [(process([sys.executable, str(imports)]), process(check)) for _ in range(15)]
    benchmark.pedantic(process, (check,), rounds=5)
    ratio = min(turn[1] for turn in turns) / min(turn[0] for turn in turns)
    benchmark.extra_info["against_imports"] = round(ratio, 2)
    bars.add("repro check --closed-form / importing its libraries", ratio, "<= 2", ratio <= 2)
