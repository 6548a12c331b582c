"""Configurations in processes of their own: real ones that are killed, hang, crash or want too much memory."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from bench import jobs
from bench.jobs import Ended, impossible, run_module, time_in_process, variables
from repro import machine
from repro.throughput.timing import Configuration

LENET = Configuration(network="lenet5", task="inference", device="cpu", batch=2, threads=1)

#: Starts a process of its own, such as a compiler, and tells both ids.
PARENT = """
import os, pathlib, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
part = pathlib.Path("ids.part")
part.write_text(f"{os.getpid()} {other.pid}")
part.rename("ids")
time.sleep(600)
"""

Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("print(1)", text="{}", patience=60.0)`` runs a module of that code in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(code: str, text: str = "{}", patience: float = 60.0) -> Ended:
        (tmp_path / "task.py").write_text(code, encoding="utf-8")
        return run_module("task", text, os.environ | {"PYTHONPATH": str(tmp_path)}, patience)

    return run


def lives(process: int) -> bool:
    """Whether a process is there and hasn't ended."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(holds: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def ids(folder: Path) -> list[int]:
    until((folder / "ids").exists)
    return [int(word) for word in (folder / "ids").read_text().split()]


# ---------------------------------------------------------------- what a process says


def test_a_process_reads_its_task_and_its_last_line_is_what_it_found(run: Run) -> None:
    ended = run("import json, sys\nprint('a warning')\nprint(json.dumps({'seconds': [json.load(sys.stdin)['limit']]}))", '{"limit": 0.5}')
    assert (ended.found, ended.reason) == ({"seconds": [0.5]}, None)
    assert 0 < ended.spent < 30
    assert 0 <= ended.others <= 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('print(\'{"reason": "out of memory: 9 GiB"}\')', "out of memory: 9 GiB"),
        ("import sys; sys.exit(3)", "ended with exit code 3 and said nothing"),
        ("", "ended with exit code 0 and said nothing"),
        ("print([1])", "ended with exit code 0 and said nothing"),
        ("print('[' * 100_000)", "ended with exit code 0 and said nothing"),
        ("print('{\"seconds\": [0.')", "ended with exit code 0 and said nothing"),
        ("raise ValueError('a\\n  b')", "ended with exit code 1: b"),
        ("import sys; sys.exit('no  compiler')", "ended with exit code 1: no compiler"),
        ("import os, sys; os.write(2, b'not UTF-8: \\xff'); sys.exit(1)", "ended with exit code 1: not UTF-8: \N{REPLACEMENT CHARACTER}"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        ("import os, sys; os.write(2, b'free(): bad'); os.abort()", "ended by SIGABRT: free(): bad"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 5)", f"ended by signal {signal.SIGRTMIN + 5}"),
    ],
)
def test_why_a_process_found_nothing(run: Run, code: str, reason: str) -> None:
    ended = run(code)
    assert (ended.found, ended.reason) == ({}, reason)


def test_a_reason_is_short_however_much_is_said(run: Run) -> None:
    ended = run("import sys; sys.exit('x' * 10**6)")
    assert ended.reason is not None
    assert len(ended.reason) < 300


def test_a_module_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    ended = run_module("no_such_module", "{}", dict(os.environ), 60.0)
    assert ended.reason is not None
    assert ended.reason.endswith("No module named no_such_module")


# ---------------------------------------------------------------- what happens to a process


def test_a_process_that_is_killed_from_outside_says_so(run: Run, tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(ids(tmp_path)[0], signal.SIGKILL)

    code = PARENT.replace("other = subprocess.Popen(", "other = subprocess.Popen(['true']) or (")
    killer = threading.Thread(target=kill)
    killer.start()
    ended = run(code)
    killer.join()
    assert ended.reason == "killed (SIGKILL): by the system, when memory ran out, or from outside"
    assert ended.spent < 30


def test_a_process_that_hangs_is_ended_with_all_that_it_started(run: Run, tmp_path: Path) -> None:
    ended = run(PARENT, patience=1.0)
    assert ended.reason == "hung: it was ended after 1 seconds"
    assert 1.0 <= ended.spent < 10
    parent, other = ids(tmp_path)
    until(lambda: not lives(parent) and not lives(other))


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_process_leaves_behind_is_not_waited_for(run: Run, tmp_path: Path, apart: bool) -> None:
    """It holds the output open; in the process's group it's ended too."""
    code = PARENT.replace("time.sleep(600)\n", "print('{\"seconds\": [1.0]}', flush=True)\nos._exit(0)\n")
    ended = run(code.replace('"])', f'"], start_new_session={apart})'), patience=60.0)
    assert (ended.found, ended.reason) == ({"seconds": [1.0]}, None)
    assert ended.spent < 30
    _, other = ids(tmp_path)
    if apart:
        os.kill(other, signal.SIGKILL)
    until(lambda: not lives(other))


@pytest.mark.parametrize("ends", [False, True])
def test_an_interrupt_ends_the_process_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    """It may have ended by itself in the moment that Popen gives it."""
    wait = subprocess.Popen.wait

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        monkeypatch.setattr(subprocess.Popen, "wait", wait)
        if ends:
            process.wait()
        else:
            ids(tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("" if ends else PARENT)
    if not ends:
        parent, other = ids(tmp_path)
        until(lambda: not lives(parent) and not lives(other))


def test_a_process_is_in_a_group_of_its_own_which_ctrl_c_does_not_reach(run: Run) -> None:
    ended = run("import os; print({'group': os.getpgid(0)}.__repr__().replace(\"'\", '\"'))")
    assert ended.found["group"] != os.getpgid(0)


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="needs Linux")
def test_a_process_may_hold_what_is_free_and_is_the_first_to_be_ended(run: Run) -> None:
    code = """
import json, pathlib, resource
limit = resource.getrlimit(resource.RLIMIT_DATA)
print(json.dumps({"limit": limit, "score": pathlib.Path("/proc/self/oom_score_adj").read_text()}))
"""
    found = run(code).found
    assert found["score"].strip() == "1000"
    assert found["limit"] == [pytest.approx(psutil.virtual_memory().available, rel=0.25)] * 2


@pytest.mark.slow
def test_what_other_processes_use_is_noticed(run: Run) -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        ended = run("import time; time.sleep(4); print('{}')")
    finally:
        busy.kill()
        busy.wait()
    assert ended.others > 0.6 / (os.cpu_count() or 1)


def test_what_a_process_uses_itself_is_not_called_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    others = iter((0.0, 0.5))

    def busy() -> float:
        """What processes that have ended used, and half a second of others while one runs."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return 1_000.0 + ended.ru_utime + ended.ru_stime + next(others)

    monkeypatch.setattr(jobs, "_busy", busy)
    ended = run("import time\nwhile time.process_time() < 0.5: pass\nprint('{}')")
    assert ended.others == pytest.approx(0.5 / (ended.spent * (os.cpu_count() or 1)), rel=0.01)


def test_the_machines_work_is_counted_without_its_idling() -> None:
    before, times = jobs._busy(), psutil.cpu_times()
    assert before == pytest.approx(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice, abs=1.0)
    assert before < sum(times)


# ---------------------------------------------------------------- rows


def test_a_configuration_becomes_a_row() -> None:
    row = time_in_process(LENET, 0.5)
    assert row.is_timed, row.reason
    assert row.configuration == LENET
    assert 0 < row.median < 0.1
    assert row.spent > 0.5
    assert row.others is not None
    assert not row.glanced
    assert row.peak_memory is not None
    assert 50 * 2**20 < row.peak_memory < 4 * 2**30


@pytest.mark.slow
def test_a_slower_configuration_is_glanced_at() -> None:
    row = time_in_process(LENET, 60.0, beat=1e-9)
    assert row.glanced
    assert row.spent < 30


def test_a_row_that_is_killed_is_a_failed_one() -> None:
    before = {child.pid for child in psutil.Process().children()}

    def started() -> Iterator[psutil.Process]:
        for child in psutil.Process().children():
            try:
                if child.pid not in before and "bench.child" in " ".join(child.cmdline()):
                    yield child
            except psutil.NoSuchProcess:
                continue

    def kill() -> None:
        until(lambda: any(started()))
        next(started()).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    row = time_in_process(LENET, 20.0)
    killer.join()
    assert (row.outcome, row.seconds) == ("failed", ())
    assert row.reason is not None
    assert row.reason.startswith("killed (SIGKILL)")


def test_a_row_that_hangs_is_a_failed_one() -> None:
    row = time_in_process(LENET, 0.01, patience=0.1)
    assert (row.outcome, row.reason) == ("failed", "hung: it was ended after 0 seconds")


@pytest.mark.parametrize(
    "network", ["lenet5", pytest.param("vgg-d", marks=pytest.mark.slow), pytest.param("resnet50", marks=pytest.mark.slow)]
)
def test_more_images_than_there_is_memory_for_are_a_failed_row_and_soon(network: str) -> None:
    sides = {"lenet5": 32 * 32, "vgg-d": 3 * 224 * 224, "resnet50": 3 * 224 * 224}
    batch = 2 * psutil.virtual_memory().total // (4 * sides[network])
    row = time_in_process(LENET.model_copy(update={"network": network, "batch": batch}), 60.0)
    assert row.outcome == "failed"
    assert row.reason is not None
    assert row.reason.startswith("out of memory: ")
    assert row.spent < 60


@pytest.mark.slow
def test_activations_that_do_not_fit_are_a_failed_row_too() -> None:
    free = psutil.virtual_memory().available
    batch = int(0.1 * free) // (4 * 3 * 224 * 224)  # the images fit, and the first layer is 21 times as large
    row = time_in_process(LENET.model_copy(update={"network": "vgg-d", "batch": batch}), 60.0)
    assert row.outcome == "failed"
    assert row.reason is not None
    assert row.reason.startswith("out of memory: ")


@pytest.mark.slow
@pytest.mark.skipif(not machine.has_compiler(), reason="needs a compiler")
def test_a_compiled_row_that_hangs_leaves_no_process() -> None:
    compiled = Configuration(network="resnet1202", task="inference", device="cpu", batch=3, threads=1, compiled=True)
    before = set(psutil.pids())
    row = time_in_process(compiled, 1.0, patience=13.0)
    assert row.reason == "hung: it was ended after 21 seconds"
    left = [process for process in psutil.process_iter() if process.pid not in before and lives(process.pid) and process.ppid() == 1]
    until(lambda: not any("torch" in " ".join(process.cmdline()) for process in left if lives(process.pid)))


# ---------------------------------------------------------------- what can't be tried


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"compiled": True}, "no C++ compiler: torch.compile needs one on a CPU; install g++, or set CXX"),
        ({"dtype": "tf32"}, "cpu has no tf32"),
        ({"dtype": "float16"}, "this CPU has no float16 instructions"),
        ({"dtype": "bfloat16"}, "this CPU has no instructions that torch's bfloat16 convolutions need"),
    ],
)
def test_what_a_machine_lacks_is_a_reason_and_starts_no_process(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(jobs, "run_module", lambda *arguments: pytest.fail("a process was started"))
    monkeypatch.setattr(machine, "has_compiler", lambda: False)
    for name in ("_is_mkldnn_fp16_supported", "_is_mkldnn_bf16_supported"):
        monkeypatch.setattr(torch.ops.mkldnn, name, lambda: False)
    row = time_in_process(LENET.model_copy(update=changes), 1.0)
    assert (row.outcome, row.reason) == ("failed", reason)
    assert (row.seconds, row.spent) == ((), 0.0)


def test_a_torch_without_onednn_has_no_half_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a Mac: its namespace of operators is empty."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert jobs.possible_dtypes(LENET) == ["float32"]


def test_what_a_machine_has_can_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(there: bool, *several: dict[str, Any]) -> list[str | None]:
        monkeypatch.setattr(machine, "has_compiler", lambda: there)
        for name in ("_is_mkldnn_fp16_supported", "_is_mkldnn_bf16_supported"):
            monkeypatch.setattr(torch.ops.mkldnn, name, lambda: there)
        return [reason for changes in several if (reason := impossible(LENET.model_copy(update=changes)))]

    monkeypatch.setattr(machine, "has_tf32", lambda device: device == "cuda")
    gpu = {"device": "cuda"}
    assert tried(True, {}, {"compiled": True}, {"dtype": "float16"}, {"dtype": "bfloat16"}) == []
    brings = ({"compiled": True}, {"dtype": "float16"}, {"dtype": "bfloat16"}, {"dtype": "tf32"})
    assert tried(False, {}, *(gpu | changes for changes in brings)) == [], "a GPU brings its own"


# ---------------------------------------------------------------- variables


def test_memory_is_kept_or_not_whatever_the_shell_says(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {*machine.KEEP_MEMORY, "PYTORCH_CUDA_ALLOC_CONF"}
    for name in names:
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("SOMETHING_ELSE", "stays")
    keep = LENET.model_copy(update={"allocator": "keep"})
    assert not names & variables(LENET).keys()
    assert {name: variables(keep).get(name) for name in names} == machine.KEEP_MEMORY | {"PYTORCH_CUDA_ALLOC_CONF": None}
    on_gpu = variables(keep.model_copy(update={"device": "cuda"}))
    assert {name: on_gpu[name] for name in names & on_gpu.keys()} == {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    assert variables(LENET)["SOMETHING_ELSE"] == "stays"


def test_threads_and_the_path_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    found = variables(LENET.model_copy(update={"threads": 3}))
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["PYTHONPATH"] == os.pathsep.join([str(machine.ROOT), "elsewhere"])
    monkeypatch.delenv("PYTHONPATH")
    assert variables(LENET)["PYTHONPATH"] == str(machine.ROOT)


@pytest.mark.parametrize(("cores", "workers"), [([0], "1"), ([0, 1], "1"), ([0, 1, 2], None)])
def test_few_cores_have_no_workers_that_compile(monkeypatch: pytest.MonkeyPatch, cores: list[int], workers: str | None) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.delenv("TORCHINDUCTOR_COMPILE_THREADS", raising=False)
    assert variables(LENET).get("TORCHINDUCTOR_COMPILE_THREADS") == workers


def test_a_row_is_measured_with_the_variables_of_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def invented(*arguments: Any) -> Ended:
        asked.append(arguments)
        return Ended({"seconds": [0.5], "calls": 1}, None, 0.25, 3.0)

    monkeypatch.setattr(jobs, "run_module", invented)
    keep = LENET.model_copy(update={"allocator": "keep"})
    row = time_in_process(keep, 20.0, 100.0, 0.25)
    ((module, text, environment, patience),) = asked
    assert (module, environment, patience) == ("bench.child", variables(keep), 260.0)
    assert json.loads(text) == {"configuration": keep.model_dump(), "limit": 20.0, "beat": 0.25}
    assert (row.outcome, row.seconds, row.others, row.spent) == ("timed", (0.5,), 0.25, 3.0)
