"""Configurations timed in processes of their own, so that what goes wrong in one is a row with its reason and the rest goes on."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import torch
from pydantic import ValidationError

from bench.search import half_dtypes
from bench.timer import MOST_LIMITS
from repro import machine
from repro.records import first_fault
from repro.throughput.timing import Configuration, DType, Timing

#: Seconds after which a process that has measured for so long, or still compiles, is taken for one that hangs.
PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: what it found, or the reason why it found nothing; what other processes used of all cores; seconds."""

    found: dict[str, Any]
    reason: str | None
    others: float
    spent: float


def time_in_process(configuration: Configuration, limit: float, patience: float = PATIENCE, beat: float | None = None) -> Timing:
    """One row, measured for up to ``limit`` seconds, or for a glance where it's slower than ``beat`` seconds a call. It never raises for
    what happens in the process, and an interrupt ends the process too."""
    if (reason := impossible(configuration)) is not None:
        return Timing(configuration=configuration, outcome="failed", reason=reason)
    task = {"configuration": configuration.model_dump(), "limit": limit, "beat": beat}
    ended = run_module("bench.child", json.dumps(task), variables(configuration), MOST_LIMITS * limit + patience)
    known = {"configuration": configuration, "others": ended.others, "spent": ended.spent}
    if ended.reason is not None:
        return Timing.model_validate(known | {"outcome": "failed", "reason": ended.reason})
    try:
        return Timing.model_validate(known | {"outcome": "timed"} | ended.found)
    except ValidationError as error:
        reason = f"what it found can't be a timing: {first_fault(error)}"
        return Timing.model_validate(known | {"outcome": "failed", "reason": reason})


def impossible(configuration: Configuration) -> str | None:
    """Why a configuration can't even be tried on this machine, or None."""
    on_cpu, has_mkldnn = torch.device(configuration.device).type == "cpu", torch.backends.mkldnn.is_available()
    if configuration.compiled and on_cpu and not machine.has_compiler():
        return "no C++ compiler: torch.compile needs one on a CPU; install g++, or set CXX"
    if configuration.dtype == "tf32" and not machine.has_tf32(configuration.device):
        return f"{configuration.device} has no tf32"
    if configuration.dtype == "float16" and on_cpu and not (has_mkldnn and torch.ops.mkldnn._is_mkldnn_fp16_supported()):
        return "this CPU has no float16 instructions"
    if configuration.dtype == "float16" and on_cpu and configuration.task == "training":
        return "not tried: torch has no fast float16 convolution backwards on a CPU"
    if configuration.dtype == "bfloat16" and on_cpu and not (has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return "this CPU has no instructions that torch's bfloat16 convolutions need"
    return None


def possible_dtypes(configuration: Configuration) -> list[DType]:
    """The dtypes in which this can be tried on this machine."""
    dtypes: list[DType] = ["float32", *half_dtypes(configuration.device)]
    return [dtype for dtype in dtypes if impossible(configuration.model_copy(update={"dtype": dtype})) is None]


def variables(configuration: Configuration) -> dict[str, str]:
    """The environment of a process: threads, and whether freed memory is kept. On two cores, workers that compile cost as much as they
    save, and more where everything is compiled already."""
    kept = {} if len(machine.cores()) > 2 else {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    if configuration.allocator == "keep":
        on_cpu = torch.device(configuration.device).type == "cpu"
        kept |= machine.KEEP_MEMORY if on_cpu else {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    dropped = {*machine.KEEP_MEMORY, "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"}
    own = {name: value for name, value in os.environ.items() if name not in dropped}
    return own | {"OMP_NUM_THREADS": str(configuration.threads), "PYTHONPATH": _path(own)} | kept


def run_module(module: str, text: str, environment: dict[str, str], patience: float) -> Ended:
    """``python -m module`` with ``text`` as its input; its last line of output is the JSON of what it found."""
    before, start = _busy(), time.monotonic()
    own, hung = resource.getrusage(resource.RUSAGE_CHILDREN), False
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with working(module, text, environment, output, errors) as process:
            try:
                process.wait(patience)  # for its end, and not for that of its output, which what it started may hold
            except subprocess.TimeoutExpired:
                hung = True
        found, reason = _read(process.returncode, *(_text(file) for file in (output, errors)))
    if hung:
        found, reason = {}, f"hung: it was ended after {patience:,.0f} seconds"
    spent = time.monotonic() - start
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime
    others = max(0.0, _busy() - before - used) / (spent * (os.cpu_count() or 1))
    return Ended(found, reason, round(min(others, 1.0), 4), round(spent, 3))


@contextlib.contextmanager
def working(
    module: str,
    text: str,
    environment: dict[str, str],
    output: int | IO[bytes] = subprocess.DEVNULL,
    errors: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m module`` with ``text`` as its input, in a group of its own, with what memory is free. When this is left it's ended with
    all that it started, such as compilers."""
    words = [sys.executable, "-P", str(Path(__file__).with_name("launch.py")), module, str(psutil.virtual_memory().available)]
    with tempfile.TemporaryFile() as task:
        task.write(text.encode())
        task.seek(0)
        process = subprocess.Popen(words, env=environment, start_new_session=True, stdin=task, stdout=output, stderr=errors)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # all of them may have ended by themselves
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _read(status: int, output: str, errors: str) -> tuple[dict[str, Any], str | None]:
    """What a process found, or why it found nothing."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1])
        if not isinstance(found, dict):
            raise ValueError
    except (IndexError, ValueError, RecursionError):
        return {}, _why(status, errors)
    return ({}, str(found["reason"])) if "reason" in found else (found, None)


def _why(status: int, errors: str) -> str:
    last = " ".join((errors.strip().splitlines() or [""])[-1].split())[:200]
    if status == -signal.SIGKILL:
        return "killed (SIGKILL): by the system, when memory ran out, or from outside"
    if status < 0:
        named = {number.value: number.name for number in signal.Signals}  # not all of them have a name
        return f"ended by {named.get(-status, f'signal {-status}')}{f': {last}' if last else ''}"
    return f"ended with exit code {status}{f': {last}' if last else ' and said nothing'}"


def _busy() -> float:
    """Seconds that all cores together have worked since the machine started."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")))


def _path(environment: dict[str, str]) -> str:
    """``bench`` is found from any working directory."""
    return os.pathsep.join(filter(None, (str(machine.ROOT), environment.get("PYTHONPATH"))))
