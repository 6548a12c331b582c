"""What the tests share: the ledger, read once, an edited copy of papers/, invented records, and how hypothesis searches."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from repro import Ledger, load_ledger
from repro.records import Record
from repro.tables.ledger import PAPERS

hypothesis.settings.register_profile("repro", database=None, derandomize=True, deadline=timedelta(seconds=5), max_examples=300)
hypothesis.settings.load_profile("repro")


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
