"""The machine's own best rates, measured in a process of its own: square matrix products by dtype, and memory copy.

On a CPU a product is also computed by oneDNN, whose convolutions the networks run: torch's own products in float32 are MKL's, which on a
CPU of AMD reach half of that.

``python -m bench.roof`` reads ``{"device", "threads", "dtypes", "sizes"}`` as JSON from standard input and prints ``{"roofs", "copies"}``.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.child import answer
from bench.timer import measure
from bench.workload import DTYPES, use_device, use_tf32
from repro.throughput.timing import By, Copy, DType, Product, Roof

SIZES = (512, 1024, 2048, 4096, 6144)

#: Bytes of each of the two buffers that are copied: more than any cache holds.
COPIED = 2**30

#: Seconds for each size, and blocks at least, of which a product of the largest size needs seconds each; fewer where that takes eight
#: times as long.
LIMIT, FEWEST = 1.0, 3


def find_roof(dtype: DType, device: str, threads: int, sizes: tuple[int, ...], limit: float) -> Roof:
    """FLOP/s (2 a MAC) of products of square matrices, the median for each size and way; all ways of a size get ``limit`` seconds."""
    use_tf32(dtype == "tf32")
    torch.set_num_threads(threads)
    products = []
    for n in sizes:
        ways = _products(n, dtype, device)
        for by, call in ways.items():
            products.append(Product(n=n, by=by, flops=2 * n**3 / _median(call, device, limit / len(ways))))
    return Roof(dtype=dtype, threads=threads, products=tuple(products))


def find_copy_rate(device: str, threads: int, limit: float, size: int = COPIED) -> Copy:
    """Bytes read and bytes written, a second, the median of what fits into ``limit`` seconds."""
    torch.set_num_threads(threads)
    source, target = (torch.ones(size // 4, device=device) for _ in range(2))
    return Copy(threads=threads, bytes_per_second=2 * size / _median(lambda: target.copy_(source), device, limit))


def _products(n: int, dtype: DType, device: str) -> dict[By, Callable[[], Tensor]]:
    """Calls that multiply two matrices of noise."""
    a, b = ((torch.randn(n, 1, device=device) + torch.randn(n, device=device)).to(DTYPES[dtype]) for _ in range(2))  # quicker than n x n
    if torch.device(device).type != "cpu" or not torch.backends.mkldnn.is_available():
        return {"matmul": lambda: a @ b}
    rows, weight = a.to_mkldnn(), b.T.contiguous().to_mkldnn()
    return {"matmul": lambda: a @ b, "oneDNN": lambda: F.linear(rows, weight)}


def _median(call: Callable[[], object], device: str, limit: float) -> float:
    return statistics.median(measure(call, device, limit, fewest=FEWEST).seconds)


def find_all(device: str, threads: int, dtypes: list[DType], sizes: tuple[int, ...], limit: float) -> dict[str, Any]:
    """The roof of each dtype and the copy rate, as JSON types."""
    use_device(device)
    roofs = [find_roof(dtype, device, threads, sizes, limit) for dtype in dtypes]
    return {
        "roofs": [roof.model_dump() for roof in roofs],
        "copies": [find_copy_rate(device, threads, limit, min(COPIED, psutil.virtual_memory().available // 8)).model_dump()],
    }


if __name__ == "__main__":
    task = json.load(sys.stdin)
    answer(lambda: find_all(task["device"], task["threads"], task["dtypes"], tuple(task["sizes"]), task["limit"]))
