"""Runs as tasks of a Ray cluster, or of a Ray that is started on this machine where there is no cluster.

The cluster's machines hold this project in the same version and share the folders of checkpoints and records. A task whose
worker dies is tried again, anywhere, and goes on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from repro.errors import ReproError
from repro.executing import Outcome, Progress, Stop, Tell, attempt, terminated_as_interrupt, variables
from repro.experiment import Specification

RETRIES = 5
POLL_SECONDS = 0.5
SAVING_SECONDS = 60.0  #: that tasks have for saving their state when they are interrupted

Said = tuple[int, dict[str, Any]]  #: number of the run, progress


def run_on_ray(specifications: Sequence[Specification], workers: int | None, tell: Tell) -> list[Outcome]:
    """Runs all, at most ``workers`` at a time, and returns how each ended. On an interrupt each saves its state, then it's raised again.

    ``RAY_ADDRESS`` names the cluster, as for all of Ray. Raises ReproError where Ray isn't installed or isn't reached.
    """
    with _connected() as ray:
        tasks = _Tasks(ray, specifications, tell)
        try:
            with terminated_as_interrupt():
                return tasks.run(workers or len(specifications))
        except KeyboardInterrupt:
            tasks.stop()
            raise


@dataclass(slots=True)
class _Tasks:
    """The tasks of some runs, by Ray's reference to each that hasn't ended."""

    ray: Any
    specifications: Sequence[Specification]
    tell: Tell
    mailbox: Any = None
    running: dict[Any, int] = field(default_factory=dict)

    def run(self, most: int) -> list[Outcome]:
        """Starts and follows all of them, ``most`` at a time."""
        self.mailbox = self.ray.remote(num_cpus=0)(_Mailbox).remote()
        waiting = list(range(len(self.specifications)))
        outcomes: dict[int, Outcome] = {}
        while waiting or self.running:
            while waiting and len(self.running) < most:
                self._start(waiting.pop(0))
            ended, _ = self.ray.wait(list(self.running), timeout=POLL_SECONDS)
            for number, now in self.ray.get(self.mailbox.take.remote()):
                self.tell(self.specifications[number], Progress(**now))
            for reference in ended:
                number = self.running.pop(reference)
                outcomes[number] = self._outcome(self.specifications[number], reference)
                self.tell(self.specifications[number], outcomes[number])
        return [outcomes[number] for number in range(len(self.specifications))]

    def stop(self) -> None:
        """Asks all to save their state, and waits for them."""
        for reference in self.running:
            self.ray.cancel(reference)
        if self.running:
            self.ray.wait(list(self.running), num_returns=len(self.running), timeout=SAVING_SECONDS)

    def _start(self, number: int) -> None:
        specification = self.specifications[number]
        settings = specification.settings
        device = torch.device(settings.device).type  # which one of a machine's devices, Ray decides
        specification = specification.model_copy(update={"settings": settings.model_copy(update={"device": device})})
        task = self.ray.remote(
            num_cpus=settings.threads,
            num_gpus=0 if device == "cpu" else 1,
            max_retries=RETRIES,
            max_calls=1,  # a process of its own, whose settings of torch and signals end with it
            runtime_env={"env_vars": variables(settings.threads)},
        )(_run)
        self.running[task.remote(specification.model_dump_json(), number, self.mailbox)] = number

    def _outcome(self, specification: Specification, reference: Any) -> Outcome:
        try:
            record, failure = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return Outcome(
                specification, None, f"its Ray task failed after {RETRIES} retries at most: {lines[0 if len(lines) < 2 else -1]}"
            )
        return Outcome(specification, record, failure)


class _Mailbox:
    """The actor through which tasks say how far they are."""

    def __init__(self) -> None:
        self._said: list[Said] = []

    def put(self, number: int, now: dict[str, Any]) -> None:
        self._said.append((number, now))

    def take(self) -> list[Said]:
        """What was said since the last time."""
        said, self._said = self._said, []
        return said


def _run(text: str, number: int, mailbox: Any) -> tuple[Any, str | None]:
    """The task: one run in a worker of the cluster."""
    outcome = attempt(Specification.model_validate_json(text), lambda now: mailbox.put.remote(number, asdict(now)), Stop())
    return outcome.record, outcome.failure


@contextlib.contextmanager
def _connected() -> Iterator[Any]:
    """Ray, quiet and without its reports to its makers, as a client of the cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns of a change to come
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise ReproError("--executor ray needs Ray, which isn't installed: `pip install ray`") from None
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReproError(f"Ray can't be started or reached: {reason}; set RAY_ADDRESS to a cluster's address, or unset it") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "//" in address or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ReproError(f"RAY_ADDRESS={address}: no Ray answers there ({error}); correct it, or unset it to use this machine") from None
