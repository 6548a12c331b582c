"""The batch from which a GPU is faster than the CPU, with the time in which the batch is copied to it."""

from __future__ import annotations

from dataclasses import dataclass

from repro.throughput.doubt import differ
from repro.throughput.timing import Session, Task, Timing, larger_floor


@dataclass(frozen=True, slots=True)
class Point:
    """One batch: the best row of both, and the seconds of a call; on the GPU with the transfer of the batch."""

    batch: int
    cpu: Timing
    gpu: Timing
    cpu_seconds: float
    gpu_seconds: float
    gpu_is_faster: bool


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where the GPU overtakes: ``batch`` is the smallest that was measured on both from which on it is faster at every larger one. None
    where it overtakes nowhere, and ``reason`` says how."""

    network: str
    task: Task
    cpu_hardware: str
    gpu_hardware: str
    points: tuple[Point, ...]
    batch: int | None
    reason: str | None

    @property
    def sentence(self) -> str:
        """``resnet18 inference: Testor GPU is faster than Testor 9, 2 cores from batch 8 on``"""
        found = self.reason or f"{self.gpu_hardware} is faster than {self.cpu_hardware} from batch {self.batch} on"
        return f"{self.network} {self.task}: {found}"


def find_crossover(cpu: Session, gpu: Session, network: str, task: Task, names: tuple[str, str] | None = None) -> Crossover:
    """Compares the best row on the CPU with the best on the GPU, batch by batch.

    The GPU's seconds are its median and the transfer of the batch; rows without a transfer stay out. Within the larger of both noise
    floors the GPU isn't faster. ``names`` are those of the hardware, where it has others than the sessions say.
    """
    floor = larger_floor(cpu, gpu)
    ours = _best(cpu, network, task, transfer=False)
    theirs = _best(gpu, network, task, transfer=True)
    points = []
    for batch in sorted(ours.keys() & theirs.keys()):
        (a, slow), (b, fast) = ours[batch], theirs[batch]
        points.append(Point(batch, a, b, slow, fast, fast < slow and differ(slow, fast, floor)))
    names = names or (cpu.environment.hardware, gpu.environment.hardware)
    return Crossover(network, task, *names, tuple(points), *_overtaking(points, *names))


def _best(session: Session, network: str, task: Task, *, transfer: bool) -> dict[int, tuple[Timing, float]]:
    """By batch, the row with the fewest seconds, and the seconds."""
    best: dict[int, tuple[Timing, float]] = {}
    for row in session.rows:
        its = row.configuration
        if not row.is_timed or (its.network, its.task) != (network, task) or (transfer and row.transfer is None):
            continue
        seconds = row.median + (row.transfer or 0) * transfer
        if its.batch not in best or seconds < best[its.batch][1]:
            best[its.batch] = row, seconds
    return best


def _overtaking(points: list[Point], cpu: str, gpu: str) -> tuple[int | None, str | None]:
    """The batch, or why there is none."""
    if not points:
        return None, f"no batch was timed both on {cpu} and, with its transfer, on {gpu}"
    slower = [number for number, point in enumerate(points) if not point.gpu_is_faster]
    if not slower:
        return None, f"{gpu} is faster than {cpu} at every batch measured, from {points[0].batch} on"
    if slower[-1] + 1 < len(points):
        return points[slower[-1] + 1].batch, None
    if len(slower) == len(points):
        return None, f"{gpu} is faster than {cpu} at no batch measured, up to {points[-1].batch}"
    return None, f"{gpu} isn't faster than {cpu} at the largest batch measured, {points[-1].batch}"
