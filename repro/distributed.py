"""One network over several processes, as ``torchrun`` starts them: each has its share of the batch, gradients are averaged.

Batch normalisation takes the statistics of a process's own share, as on the two GPUs of H15 section 4.2. Alone, all of
this does nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from repro.errors import ReproError

T = TypeVar("T")

INTERRUPTED = 130
LOST = "another process of this run ended; start the same command again: it goes on from the last checkpoint"

#: Seconds in which the first process surely says what is wrong. The launcher ends all others as soon as one has ended.
SAID_IN = 5


def world() -> int:
    """How many processes share the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    """Whether this process writes and says what the run writes and says."""
    return rank() == 0


@contextmanager
def together(device: str) -> Iterator[None]:
    """Meets the other processes, and parts from them at the end. What ends all of them is said by the first one.

    Each process takes a CUDA device of its own. Where another process is lost, this one says so and ends with exit code 1.
    """
    if world() == 1:
        yield
        return
    try:
        _meet(torch.device(device))
        yield
    except ReproError:
        if first():
            raise
        time.sleep(SAID_IN)
        sys.exit(2)
    except KeyboardInterrupt:
        if first():
            raise
        sys.exit(INTERRUPTED)
    except RuntimeError as error:
        if not _is_loss_of_peer(error):
            raise
        print(f"repro: {LOST}", file=sys.stderr, flush=True)
        sys.exit(1)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _meet(device: torch.device) -> None:
    if device.index is not None:
        raise ReproError(f"--device {device}: each process takes a device of its own; give {device.type}")
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ReproError(f"this machine has {torch.cuda.device_count()} CUDA devices; start as many processes, or give --device cpu")
        torch.cuda.set_device(local)
    store, number, size = next(dist.rendezvous("env://"))
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(start, store)  # else processes that the launcher starts again find the addresses of before
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=number, world_size=size)


def check_shares(runs: int, batch: int) -> None:
    """Raises ReproError where the processes have more than one run to share, or a batch that has no equal shares."""
    if world() > 1 and runs > 1:
        raise ReproError(f"{world()} processes share one run, and there are {runs}; give one name with --networks and one --seed")
    if batch % world():
        raise ReproError(f"a batch of {batch} can't be shared equally by {world()} processes; start a number of them that divides it")


def share(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """This process's part of a batch."""
    return images.chunk(world())[rank()], labels.chunk(world())[rank()]


def average(tensors: Sequence[Tensor]) -> None:
    """Replaces each tensor, all of one type, by its mean over the processes.

    DistributedDataParallel would average while gradients are still computed, which repays in larger networks. But it orders them
    anew after the first iteration, so that three or more processes that go on from a checkpoint would add in another order.
    """
    if world() == 1:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world()
    for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view(tensor.shape))


def anyone(said: bool, device: str) -> bool:
    """Whether any of the processes said so: all must ask at the same time."""
    if world() == 1:
        return said
    flag = torch.tensor(float(said), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())


def from_first(find: Callable[[], T]) -> T:
    """What the first process finds, for all of them, while the others wait; so is its ReproError."""
    if world() == 1:
        return find()
    answer: list[tuple[T | None, str | None]] = [(None, None)]
    if first():
        try:
            answer = [(find(), None)]
        except ReproError as error:
            answer = [(None, str(error))]
    dist.broadcast_object_list(answer)
    found, failure = answer[0]
    if failure is not None:
        raise ReproError(failure)
    return found  # type: ignore[return-value]


def _is_loss_of_peer(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in ("connection closed", "gloo", "nccl", "connection reset"))
