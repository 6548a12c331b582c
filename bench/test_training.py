"""How fast training is, against the plain loop, on the same machine in the same run: ``pytest bench/test_training.py``.

Each rate comes from processes of its own. On a CPU both loops may use all cores: the plain one in the better of its two ways,
one process with all threads or one single thread for each core, ours with one single thread for each core.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import torch

from bench.conftest import Bars
from bench.roof import LIMIT, SIZES, find_roof
from repro.executing import variables
from repro.machine import cores
from repro.tables import load_ledger

ITERATIONS = 60
BAR, GPU_BAR = 3.5, 10.0


def side_by_side(module: str, *words: object, threads: int = 1, as_run: bool = False) -> float:
    """The sum of what one process for each share of the cores prints; ``as_run`` gives them the environment of a training run."""
    shares = [cores()] if threads == len(cores()) else [[core] for core in cores()]
    environment = variables(threads, os.environ) if as_run else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            env=environment, stdout=subprocess.PIPE, text=True,
            preexec_fn=functools.partial(os.sched_setaffinity, 0, share),
        )
        for share in shares
    ]  # fmt: skip
    outputs = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return sum(float(output.split()[-1]) for output in outputs)


def test_training_resnet20_on_the_cpu(bars: Bars) -> None:
    n = len(cores())
    torch.set_num_threads(n)
    plain = max(
        side_by_side("bench.plain_loop", n, n, ITERATIONS, "cpu", threads=n), side_by_side("bench.plain_loop", 1, 1, ITERATIONS, "cpu")
    )
    ours = side_by_side("bench.our_loop", 2 * ITERATIONS, "cpu", as_run=True)
    roof = find_roof("bfloat16", "cpu", n, SIZES, LIMIT).flops
    flops = 2 * 3 * load_ledger().network("resnet20").macs * ours
    bars.add(f"ResNet-20 training, CPU, {ours:,.0f} / {plain:,.0f} images/s", ours / plain, f">= {BAR}", ours / plain >= BAR)
    bars.add(f"its share of the bf16 roof, {roof / 1e9:,.0f} GFLOP/s", 100 * flops / roof, "none", True, "%")


def test_training_resnet20_on_a_gpu(bars: Bars) -> None:
    if not torch.cuda.is_available():
        return bars.skip("ResNet-20 training, GPU: not measured here; run `pytest bench/test_training.py` where one is")
    plain = side_by_side("bench.plain_loop", 1, os.cpu_count(), 500, "cuda", threads=len(cores()))
    ours = side_by_side("bench.our_loop", 2_000, "cuda", threads=len(cores()))
    return bars.add(f"ResNet-20 training, GPU, {ours:,.0f} / {plain:,.0f} images/s", ours / plain, f">= {GPU_BAR}", ours / plain >= GPU_BAR)
