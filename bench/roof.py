"""The machine's own best rate: square matrix products. ``python -m bench.roof DTYPE DEVICE`` prints FLOP/s of one process."""

from __future__ import annotations

import statistics
import sys

import torch
from torch.utils.benchmark import Timer

SIZES = (512, 1024, 2048)


def matmul_roof(dtype: torch.dtype, device: str = "cpu", sizes: tuple[int, ...] = SIZES) -> float:
    """FLOP/s (2 per MAC) of the best median over products of square matrices, with the threads that torch has now."""
    return max(_rate(n, dtype, device) for n in sizes)


def _rate(n: int, dtype: torch.dtype, device: str) -> float:
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return 2 * n**3 / statistics.median(timer.blocked_autorange(min_run_time=0.3).times)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(matmul_roof(getattr(torch, sys.argv[1]), sys.argv[2]))
