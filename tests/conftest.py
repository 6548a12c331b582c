"""What the tests share: the ledger, read once, an edited copy of papers/, invented records and timings, and how hypothesis searches."""

from __future__ import annotations

import functools
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from repro import Ledger, load_ledger
from repro.records import Environment, Record
from repro.tables.ledger import PAPERS
from repro.throughput.timing import Configuration, Copy, DType, Product, Roof, Session, Timing

hypothesis.settings.register_profile("repro", database=None, derandomize=True, deadline=timedelta(seconds=5), max_examples=300)
hypothesis.settings.load_profile("repro")

# A shell has its jobs in the background ignore Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return load_ledger()


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """``edited("vgg.toml", ("maxpool", "minpool"))`` is a copy of papers/ with the first such text of that file replaced."""
    folder = tmp_path / "papers"
    shutil.copytree(PAPERS, folder)

    def edit(file: str, *replacements: tuple[str, str]) -> Path:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8", newline="\n")
        return folder

    return edit


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """``make_record("plain20", 0, error=5.0)`` is a run that nobody made, whose running training error ends at ``error`` per cent.

    Keys of a record, with dots, replace what it holds: ``{"data.name": "cifar10"}``.
    """

    def make(network: str, seed: int, error: float = 5.0, changes: dict[str, Any] | None = None, iterations: int = 1_600) -> Record:
        made = invented(network, seed, error, iterations)
        for key, value in (changes or {}).items():
            *path, last = key.split(".")
            functools.reduce(lambda part, name: part[name], path, made)[last] = value
        return Record.model_validate_json(json.dumps(made))

    return make


def invented(network: str, seed: int, error: float, iterations: int) -> dict[str, Any]:
    """A record's JSON: the error falls in a straight line from 90 % over seven eighths, and is even in the last one."""
    every = iterations // 16
    points = [every * (number + 1) for number in range(16)]
    errors = [max(error, 90 - (90 - error) * number / 14) for number in range(14)] + [error, error]
    curve = {"iteration": points, "error": errors, "loss": [value / 50 for value in errors]}
    test = {"iteration": points, "error": [value + 3 for value in errors], "loss": [value / 40 for value in errors]}
    depth = int(network.removeprefix("plain").removeprefix("resnet"))
    layers = ["conv1", *(f"conv{number}" for number in range(2, depth)), "fc"]
    return {
        "format": 1, "kind": "training", "network": network, "seed": seed,
        "data": {"name": "digits", "checksum": "c" * 64, "train": 1437, "test": 360, "validation": 0, "shape": [3, 8, 8], "classes": 10},
        "recipe": {
            "iterations": iterations, "drops": [iterations // 2, iterations * 3 // 4], "log_every": every, "test_every": every, "pad": 1,
            "mirror": False,
        },
        "settings": {"device": "cpu", "dtype": "bfloat16", "layout": "channels_last", "compile": True, "threads": 1},
        "environment": {
            "hardware": "Testor 9, 2 cores", "instructions": "avx2", "python": "3.11", "torch": "2.9", "torchvision": "0.24",
            "repro": "0.1.0", "commit": "abc", "dirty": False,
        },
        "outcome": "finished", "reason": None,
        "curves": {"train": curve, "test": test, "validation": None},
        "whole_train": {"loss": error / 60, "error": error / 2},
        "gradients": {"layers": layers, "iteration": [0, iterations], "norm": [[1.0] * len(layers), [0.5] * len(layers)]},
        "responses": {"layers": layers[:-1], "std": [1.5] * (len(layers) - 1)},
        "loss_trace": "e" * 64, "rate": {"images_per_second": [800.0] * 16}, "wall_seconds": 60.0, "starts": 1,
    }  # fmt: skip


@pytest.fixture(scope="session")
def make_timing() -> Callable[..., Timing]:
    """``make_timing("vgg-d", 0.5, dtype="bfloat16", transfer=0.1)`` is a timing that nobody took: eleven blocks within 0.5 % of 0.5 s.

    ``seconds`` may also be the blocks themselves. Further keys are those of a configuration or of a timing; ``outcome="failed"`` has no
    blocks.
    """

    def make(network: str = "resnet18", seconds: float | tuple[float, ...] = 0.5, **changes: Any) -> Timing:
        configured = {key: changes.pop(key) for key in tuple(changes) if key in Configuration.model_fields}
        how = {"task": "inference", "device": "cpu", "batch": 8, "threads": 2} | configured
        configuration = Configuration.model_validate({"network": network} | how)
        if changes.get("outcome") == "failed":
            return Timing.model_validate({"configuration": configuration, "reason": "out of memory"} | changes)
        blocks = seconds if isinstance(seconds, tuple) else tuple(seconds * (1 + number / 1000) for number in range(-5, 6))
        made = {
            "outcome": "timed", "seconds": blocks, "calls": 4, "warm_up": 3, "first_call": 2 * blocks[0],
            "peak_memory": 500 * 2**20, "others": 0.01, "spent": 60.0,
        }  # fmt: skip
        return Timing.model_validate({"configuration": configuration} | made | changes)

    return make


@pytest.fixture(scope="session")
def make_session(make_timing: Callable[..., Timing]) -> Callable[..., Session]:
    """``make_session(*rows, torch="2.10")`` is a session of these rows on "Testor 9, 2 cores", with a noise floor of 1 %.

    Its roof is 100 GFLOP/s a thread in float32 and 400 in bfloat16; memory is copied at 10 GB/s a thread. Further keys are those of a
    session or of its environment.
    """

    def make(*rows: Timing, **changes: Any) -> Session:
        environment = {
            "hardware": "Testor 9, 2 cores", "cpu_model": "family 1 model 2", "instructions": "avx2", "python": "3.11",
            "torch": "2.9", "torchvision": "0.24",
            "repro": "0.1.0", "commit": "abc", "dirty": False,
        }  # fmt: skip
        environment |= {key: changes.pop(key) for key in tuple(changes) if key in Environment.model_fields}
        device = rows[0].configuration.device if rows else "cpu"
        rates: dict[DType, float] = {"float32": 1e11, "bfloat16": 4e11}
        made = {
            "device": device, "environment": environment, "memory": 8 * 2**30, "rows": rows,
            "roofs": tuple(
                Roof(dtype=dtype, threads=threads, products=tuple(Product(n=n, flops=rate * threads * n / 2048) for n in (1024, 2048)))
                for dtype, rate in rates.items()
                for threads in (1, 2)
            ),
            "copies": tuple(Copy(threads=threads, bytes_per_second=1e10 * threads) for threads in (1, 2)),
            "same": tuple(make_timing("resnet34-c", seconds=seconds, device=device) for seconds in (0.5, 0.505, 0.5025)),
        }  # fmt: skip
        return Session.model_validate(made | changes)

    return make


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    """What a timing changes in torch for good, since it has a process of its own, is changed back for the tests that follow."""
    import torch
    import torch._inductor.config as inductor

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    tf32 = cudnn.allow_tf32, matmul.allow_tf32
    rest = torch.get_num_threads(), cudnn.benchmark, inductor.cpp.threads, inductor.freezing
    yield
    cudnn.allow_tf32, matmul.allow_tf32 = tf32
    threads, cudnn.benchmark, inductor.cpp.threads, inductor.freezing = rest
    torch.set_num_threads(threads)
