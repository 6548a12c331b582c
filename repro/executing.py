"""Runs side by side: on a CPU one process for each core, since two single threads beat one run on two.

Each run is ``python -m repro.executing SPECIFICATION`` in a process of its own, which says how far it is in lines of JSON on
standard output. It writes its own record, so runs can be spread over machines.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import distributed, machine
from repro.checkpoints import remove_checkpoints
from repro.errors import ReproError
from repro.experiment import Specification, find_network
from repro.records import write_record
from repro.training import Run, State, train


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: iterations done, running error in per cent, images a second."""

    iteration: int
    error: float
    rate: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: with a record, or with one line that says why not."""

    specification: Specification
    record: Path | None
    failure: str | None


Tell = Callable[[Specification, Progress | Outcome], None]


def run_here(specification: Specification, tell: Callable[[Progress], None], stopping: Callable[[], bool]) -> Path:
    """Trains in this process, from the checkpoint where there is one, and returns the path of the record.

    Raises ReproError where another process trains the same run. Nothing is trained where the record exists.
    """
    data = specification.data.load()
    settings = specification.settings.model_copy(update={"world": distributed.world()})
    run = Run(find_network(specification.network, data.classes), specification.seed, specification.recipe, data, settings)
    checkpoint = specification.checkpoints / f"{data.name}-{specification.network}-seed{specification.seed}-{specification.key}.pt"
    with _alone(checkpoint.with_suffix(".lock"), specification.title):
        path = distributed.from_first(specification.done)
        if path is None:
            record = train(run, checkpoint, tell=lambda state: tell(_progress(state)), stopping=stopping)
            path = distributed.from_first(lambda: write_record(record, specification.records))
        distributed.from_first(lambda: remove_checkpoints(checkpoint))
    return path


def run_side_by_side(specifications: Sequence[Specification], workers: int, tell: Tell) -> list[Outcome]:
    """Runs all, ``workers`` at a time, and returns how each ended. On an interrupt each saves its state, then it's raised again."""
    outcomes: list[Outcome] = []
    children = _Children()
    cores = machine.cores()
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(workers):
        free.put(cores[number % len(cores)])

    def run(specification: Specification) -> Outcome:
        core = free.get()
        try:
            outcome = children.run(specification, core if workers > 1 or specification.settings.threads == 1 else None, tell)
        finally:
            free.put(core)
        tell(specification, outcome)
        return outcome

    with _terminated_as_interrupt(), ThreadPoolExecutor(workers) as pool:
        try:
            outcomes += pool.map(run, specifications)
        except BaseException:
            children.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes


class _Children:
    """The processes that run now."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, specification: Specification, core: int | None, tell: Tell) -> Outcome:
        """Runs one to its end and passes on what it says."""
        if self._stopped:
            return Outcome(specification, None, "interrupted before it began")
        specification.checkpoints.mkdir(parents=True, exist_ok=True)
        log = specification.checkpoints / f"{specification.title.replace(' ', '-')}.log"
        command = [sys.executable, "-m", "repro.executing", specification.model_dump_json(), str(-1 if core is None else core)]
        with (
            log.open("w") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment(specification.settings.threads), process_group=0
            ) as child,
        ):
            self._running.add(child)
            end: dict[str, Any] = {}
            assert child.stdout is not None
            for line in child.stdout:
                said = json.loads(line)
                if "iteration" in said:
                    tell(specification, Progress(**said))
                else:
                    end = said
            code = child.wait()
            self._running.discard(child)
        if "record" in end:
            log.unlink(missing_ok=True)
            return Outcome(specification, Path(end["record"]), None)
        return Outcome(specification, None, end.get("failure") or _ending(code, log))

    def stop(self) -> None:
        """Asks all to save their state and end."""
        self._stopped = True
        for child in self._running:
            child.terminate()


def _ending(code: int, log: Path) -> str:
    if code < 0:
        return f"ended by signal {signal.Signals(-code).name}; start the same command again: it goes on from the last checkpoint"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"exit code {code}: {lines[-1] if lines else 'no message'} ({log})"


def _environment(threads: int) -> dict[str, str]:
    return {**machine.KEEP_MEMORY, "CUBLAS_WORKSPACE_CONFIG": ":4096:8", **os.environ, "OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_COMPILE_THREADS": str(threads)}


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


@contextmanager
def _alone(lock: Path, title: str) -> Iterator[None]:
    """Holds a lock that ends with the process; where several share a run, the first one holds it."""

    def take() -> None:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = held.enter_context(lock.open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReproError(f"{title} is being trained by another process, which holds {lock}; wait for it, or end it") from None

    with ExitStack() as held:
        distributed.from_first(take)
        yield


class Stop:
    """Becomes true with SIGINT or SIGTERM. Before the first iteration there is nothing to save: then the process is interrupted."""

    def __init__(self) -> None:
        self._asked = self._stepping = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        """Whether the run shall save and end; asked after each iteration."""
        self._stepping = True
        return self._asked

    def ask(self) -> None:
        """Asks from inside the process."""
        self._asked = True

    def _ask(self, *_: object) -> None:
        self._asked = True
        if not self._stepping:
            raise KeyboardInterrupt


def _progress(state: State) -> Progress:
    return Progress(state.iteration, state.curves["train"][-1][2], state.rates[-1] if state.rates else None)


def main(text: str, core: str) -> int:
    """One run in this process, told about on standard output: the other end of ``run_side_by_side``."""
    if int(core) >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    specification, stop = Specification.model_validate_json(text), Stop()

    def say(**words: object) -> None:
        try:
            print(json.dumps(words), flush=True)
        except BrokenPipeError:  # nobody listens any more: save and end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            stop.ask()

    try:
        path = run_here(specification, lambda now: say(iteration=now.iteration, error=now.error, rate=now.rate), stop)
        say(record=str(path))
        return 0
    except KeyboardInterrupt:
        say(failure="interrupted; its state is saved")
        return 130
    except ReproError as error:
        say(failure=str(error))
    except OSError as error:
        say(failure=f"{error.filename or 'a file'}: {error.strerror}; free space or correct the permissions, then run it again")
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
