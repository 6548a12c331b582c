"""Real processes that meet over gloo, each with the result of the same function."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from repro.errors import ReproError
from repro.lectures.judging import Numbers

WORLD = 2


def in_processes(work: Callable[[], Numbers]) -> Numbers:
    """Runs a function of a module in two new processes and returns what the first one found. Raises ReproError where one ends early.

    In each, ``repro.distributed`` knows its rank and the world, and collective operations of ``torch.distributed`` meet.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            spawn(_meet, (work, folder), nprocs=WORLD)  # type: ignore[no-untyped-call]
        except (ProcessRaisedException, ProcessExitedException) as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise ReproError(f"two processes that work together ended early: {reason}; run it again, or leave the topic away") from None
        found: Numbers = torch.load(Path(folder) / "found.pt")
    return found


def _meet(rank: int, work: Callable[[], Numbers], folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(WORLD)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    try:
        found = work()
        if rank == 0:
            torch.save(found, Path(folder) / "found.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()
