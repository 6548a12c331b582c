"""Kept numbers: which are the same, which differ, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from repro.errors import ReproError
from repro.lectures.running import Document, bound, cpu_threads, differences, load_document, run_topic, write_document


def document(code: str = "a", **changes: Any) -> Document:
    numbers = {"check": {"count": 3, "ratio": 0.5, "off": 1e-5} | changes}
    return Document(format=1, topic="vgg", code=code, numbers=numbers, figure=[{"x": [1, 2], "y": [0.5, 0.25]}])


@pytest.mark.parametrize(("name", "value", "differs"), [
    ("ratio", 0.505, False), ("ratio", 0.52, True), ("count", 4, True), ("off", 1e-4, True), ("off", 1.01e-5, False), ("new", 1, True),
])  # fmt: skip
def test_floats_may_differ_by_the_tolerance_and_counts_not_at_all(name: str, value: Any, differs: bool) -> None:
    assert differences(document(), document(**{name: value})) == ([f"check.{name}"] if differs else [])


def test_a_figure_with_other_data_differs() -> None:
    other = document().model_copy(update={"figure": [{"x": [1, 2], "y": [0.5, 0.35]}]})
    assert differences(document(), other) == ["figure"]


def test_a_machine_that_agrees_changes_no_number(tmp_path: Path) -> None:
    path = write_document(tmp_path, document())
    assert path == tmp_path / "vgg.json"
    before = path.read_bytes()
    assert write_document(tmp_path, document(ratio=0.501)) is None
    assert path.read_bytes() == before
    assert write_document(tmp_path, document("b", ratio=0.501)) == path
    assert load_document(tmp_path, "vgg") == document("b")
    assert write_document(tmp_path, document("b", ratio=0.6)) == path
    assert load_document(tmp_path, "vgg") == document("b", ratio=0.6)


def test_threads_are_as_many_afterwards_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with cpu_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        run_topic("mnist", Path("nowhere"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_file_that_isnt_a_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "vgg.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(ReproError, match=r"vgg\.json: format: .*`repro lecture --write` writes it anew"):
        load_document(tmp_path, "vgg")


@pytest.mark.parametrize(("values", "power"), [([0.0], 1e-5), ([3e-7, -2e-9], 1e-5), ([0.02, -0.5], 1.0), ([0.05], 0.1), ([12.0], 100.0)])
def test_bound_is_the_next_power_of_ten(values: list[float], power: float) -> None:
    assert bound(values) == pytest.approx(power)
