"""The machine's own best rates, measured in a process of its own: square matrix products by dtype, and memory copy.

A product is computed by torch.matmul and as a 1x1 convolution, since different libraries may do these: on a CPU of AMD, MKL's products in
float32 reach two thirds of what oneDNN's convolutions do.

``python -m bench.roof`` reads ``{"device", "threads", "dtypes", "sizes"}`` as JSON from standard input and prints ``{"roofs", "copies"}``.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import torch
from torch.nn import functional as F

from bench.child import answer
from bench.timer import measure
from bench.workload import DTYPES, use_device, use_tf32
from repro.throughput.timing import Copy, DType, Product, Roof

SIZES = (512, 1024, 2048, 4096, 6144)

#: Bytes of each of the two buffers that are copied: more than any cache holds.
COPIED = 2**30

#: Seconds for each size, and blocks at least, of which a product of the largest size needs seconds each; fewer where that takes eight
#: times as long.
LIMIT, FEWEST = 1.0, 3


def find_roof(dtype: DType, device: str, threads: int, sizes: tuple[int, ...], limit: float) -> Roof:
    """FLOP/s (2 a MAC) of products of square matrices, the median for each size, which gets ``limit`` seconds, half of them either way."""
    use_tf32(dtype == "tf32")
    torch.set_num_threads(threads)
    products = [product for n in sizes for product in _products(n, dtype, device, limit / 2)]
    return Roof(dtype=dtype, threads=threads, products=tuple(products))


def find_copy_rate(device: str, threads: int, limit: float, size: int = COPIED) -> Copy:
    """Bytes read and bytes written, a second, the median of what fits into ``limit`` seconds."""
    torch.set_num_threads(threads)
    source, target = (torch.ones(size // 4, device=device) for _ in range(2))
    return Copy(threads=threads, bytes_per_second=2 * size / _median(lambda: target.copy_(source), device, limit))


def _products(n: int, dtype: DType, device: str, limit: float) -> Iterator[Product]:
    """Noise times noise; the rows of the first are pixels, channels last."""
    a, b = ((torch.randn(n, 1, device=device) + torch.randn(n, device=device)).to(DTYPES[dtype]) for _ in range(2))
    pixels, weight = a.T.reshape(1, n, n, 1), b.T.reshape(n, n, 1, 1).contiguous()
    yield Product(n=n, by="matmul", flops=2 * n**3 / _median(lambda: a @ b, device, limit))
    yield Product(n=n, by="convolution", flops=2 * n**3 / _median(lambda: F.conv2d(pixels, weight), device, limit))


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
