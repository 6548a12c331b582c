"""One network over several devices, as ``torchrun`` starts them: each process has its share of the batch, gradients are averaged.

Batch normalisation takes the statistics of a process's own share, as on the two GPUs of H15 section 4.2. Alone, all of
this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from repro.errors import ReproError


def world() -> int:
    """How many processes share the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this process writes what the run writes."""
    return os.environ.get("RANK", "0") == "0"


def join(device: str) -> str:
    """Meets the other processes and returns this one's device."""
    if world() == 1:
        return device
    kind = torch.device(device).type
    if kind == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    return device


def leave() -> None:
    """Parts from the others."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wrap(net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The network with gradients that are averaged over the processes."""
    if world() == 1:
        return net
    assert isinstance(net, torch.nn.Module)
    return DistributedDataParallel(net, broadcast_buffers=False)


def share(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """This process's part of a batch. Raises ReproError where the batch can't be shared equally."""
    n = world()
    if n == 1:
        return images, labels
    if len(labels) % n:
        raise ReproError(f"a batch of {len(labels)} can't be shared equally by {n} processes; start a number of them that divides it")
    size = len(labels) // n
    part = slice(int(os.environ["RANK"]) * size, (int(os.environ["RANK"]) + 1) * size)
    return images[part], labels[part]


def mean(values: Tensor) -> Tensor:
    """The mean over the processes, element by element."""
    if world() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / world()


def anyone(said: bool, device: str) -> bool:
    """Whether any of the processes said so: all must ask at the same time."""
    if world() == 1:
        return said
    flag = torch.tensor(float(said), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())


def failure(error: Exception) -> str | None:
    """One line where another process is gone, or None for an error of another kind."""
    if world() > 1 and isinstance(error, RuntimeError) and _is_loss_of_peer(error):
        return "another process of this run ended; start the same command again: it goes on from the last checkpoint"
    return None


def _is_loss_of_peer(error: Any) -> bool:
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in ("connection closed", "gloo", "nccl", "connection reset"))
