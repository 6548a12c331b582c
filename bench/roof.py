"""The machine's own best rates, measured in a process of its own: square matrix products by dtype, and memory copy.

``python -m bench.roof`` reads ``{"device", "threads", "dtypes"}`` as JSON from standard input and prints ``{"roofs", "copies"}``.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import torch
from torch.utils.benchmark import Timer

from bench.child import answer
from bench.workload import DTYPES, use_tf32
from repro.throughput.timing import Copy, DType, Product, Roof

SIZES = (512, 1024, 2048, 4096, 6144)

#: Bytes of each of the two buffers that are copied: more than any cache holds.
COPIED = 2**30
MIN_SECONDS = 0.5


def find_roof(dtype: DType, device: str, threads: int, sizes: tuple[int, ...] = SIZES) -> Roof:
    """FLOP/s (2 a MAC) of products of square matrices, the median for each size."""
    use_tf32(dtype == "tf32")
    return Roof(dtype=dtype, threads=threads, products=tuple(Product(n=n, flops=_product(n, dtype, device, threads)) for n in sizes))


def find_copy_rate(device: str, threads: int, size: int = COPIED) -> Copy:
    """Bytes read and bytes written, a second, the median."""
    source, target = (torch.ones(size // 4, device=device) for _ in range(2))
    return Copy(threads=threads, bytes_per_second=2 * size / _median("target.copy_(source)", threads, source=source, target=target))


def _product(n: int, dtype: DType, device: str, threads: int) -> float:
    a, b = (torch.randn(n, n, device=device).to(DTYPES[dtype]) for _ in range(2))
    return 2 * n**3 / _median("a @ b", threads, a=a, b=b)


def _median(statement: str, threads: int, **names: Any) -> float:
    timer = Timer(statement, globals=names, num_threads=threads)  # it synchronises, and warms up
    return statistics.median(timer.blocked_autorange(min_run_time=MIN_SECONDS).times)


def find_all(device: str, threads: int, dtypes: list[DType]) -> dict[str, Any]:
    """The roof of each dtype and the copy rate, as JSON types."""
    torch.set_num_threads(threads)
    roofs = [find_roof(dtype, device, threads) for dtype in dtypes]
    return {"roofs": [roof.model_dump() for roof in roofs], "copies": [find_copy_rate(device, threads).model_dump()]}


if __name__ == "__main__":
    task = json.load(sys.stdin)
    answer(lambda: find_all(task["device"], task["threads"], task["dtypes"]))
