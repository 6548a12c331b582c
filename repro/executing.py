"""Runs side by side: on a CPU one process for each core, since two single threads beat one run on two.

Each run is ``python -m repro.executing SPECIFICATION`` in a process of its own, which says how far it is in lines of JSON on
standard output. It writes its own record, so runs can be spread over machines.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import distributed, machine
from repro.checkpoints import load_checkpoint, remove_checkpoints
from repro.errors import ReproError, file_failure
from repro.experiment import Specification, find_network
from repro.records import write_record
from repro.training import Run, State, train

#: Seconds that another process which trains the same run, such as one whose parent was killed, has to save its state and end.
PATIENCE = 10.0


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
        if specification.again:
            distributed.from_first(lambda: _remove_if_over(checkpoint, specification.recipe.iterations))
        if path is None:
            record = train(run, checkpoint, tell=lambda state: tell(_progress(state)), stopping=stopping)
            path = distributed.from_first(lambda: write_record(record, specification.records))
        distributed.from_first(lambda: remove_checkpoints(checkpoint))
    return path


def _remove_if_over(checkpoint: Path, iterations: int) -> None:
    """A process that was killed after it wrote its record leaves a state in which nothing is left to train."""
    saved = load_checkpoint(checkpoint)
    if saved is not None and saved.get("iteration") == iterations:
        remove_checkpoints(checkpoint)


def attempt(specification: Specification, tell: Callable[[Progress], None], stopping: Callable[[], bool]) -> Outcome:
    """``run_here``, with what a user can cure as a failure."""
    try:
        return Outcome(specification, run_here(specification, tell, stopping), None)
    except ReproError as error:
        return Outcome(specification, None, str(error))
    except OSError as error:
        return Outcome(specification, None, file_failure(error, "a file"))


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
            outcome = children.run(specification, core if workers > 1 and specification.settings.threads == 1 else None, tell)
        finally:
            free.put(core)
        tell(specification, outcome)
        return outcome

    with terminated_as_interrupt(), ThreadPoolExecutor(workers) as pool:
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
        log = specification.checkpoints / f"{specification.title.replace(' ', '-')}-{specification.key}.log"
        command = [sys.executable, "-m", "repro.executing", specification.model_dump_json(), str(-1 if core is None else core)]
        with (
            log.open("w") as errors,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=variables(specification.settings.threads, os.environ),
                process_group=0,
            ) as child,
        ):
            self._running.add(child)
            if self._stopped:  # while it was started
                child.terminate()
            end: dict[str, Any] = {}
            assert child.stdout is not None
            for line in child.stdout:
                if not line.startswith("{"):  # a library's own words
                    continue
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
        if code == -signal.SIGTERM and self._stopped:
            log.unlink(missing_ok=True)
            return Outcome(specification, None, "interrupted before its first iteration")
        return Outcome(specification, None, end.get("failure") or _ending(code, log))

    def stop(self) -> None:
        """Asks all to save their state and end."""
        self._stopped = True
        for child in tuple(self._running):
            child.terminate()


def _ending(code: int, log: Path) -> str:
    if code < 0:
        return f"ended by signal {signal.Signals(-code).name}; start the same command again: it goes on from the last checkpoint"
    said = log.read_text(errors="replace") if log.exists() else ""
    lines = [line for line in said.splitlines() if line.strip()]
    return f"exit code {code}: {lines[-1] if lines else 'no message'} ({log})"


def variables(threads: int, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the environment of a run's process holds from its start; only the threads are set against what is ``inherited``."""
    own = {**machine.KEEP_MEMORY, "CUBLAS_WORKSPACE_CONFIG": ":4096:8", **(inherited or {})}
    return own | {"OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_COMPILE_THREADS": str(threads)}


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, and so does SIGHUP, of a terminal that is closed; what is ignored, as under ``nohup``, stays so."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    heard = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    old = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _alone(lock: Path, title: str) -> Iterator[None]:
    """Holds a lock that ends with the process; where several share a run, the first one holds it."""

    def take() -> None:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = held.enter_context(lock.open("w"))
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise ReproError(f"{title} is being trained by another process, which holds {lock}; wait for it, or end it") from None
                time.sleep(0.1)

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

    def _ask(self, *_: object) -> None:
        self._asked = True
        if not self._stepping:
            raise KeyboardInterrupt


def _progress(state: State) -> Progress:
    return Progress(state.iteration, state.curves["train"][-1][2], state.rates[-1] if state.rates else None)


def _end_unheard() -> None:
    """Ends the run, its state saved, as soon as nobody listens any more: a parent that was killed can't ask for it."""
    listener = select.poll()
    listener.register(sys.stdout.fileno(), 0)  # reports nothing but the end
    listener.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def main(text: str, core: str) -> int:
    """One run in this process, told about on standard output: the other end of ``run_side_by_side``."""
    if int(core) >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    specification, stop = Specification.model_validate_json(text), Stop()

    def say(**words: object) -> None:
        try:
            print(json.dumps(words), flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    threading.Thread(target=_end_unheard, daemon=True).start()
    try:
        outcome = attempt(specification, lambda now: say(iteration=now.iteration, error=now.error, rate=now.rate), stop)
    except KeyboardInterrupt:
        say(failure="interrupted; its state is saved")
        return 130
    say(**({"record": str(outcome.record)} if outcome.record else {"failure": outcome.failure}))
    return 0 if outcome.record else 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
