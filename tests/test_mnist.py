"""MNIST's checks, without MNIST."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.lectures import mnist
from repro.lectures.running import Document, Unavailable, run_topic


def test_item_is_a_tuple_and_a_tensor_only_after_the_transform() -> None:
    found = mnist.one_image()
    assert (found["is_tuple"], found["is_list"], found["is_tensor_as_given"], found["is_tensor_after_to_tensor"]) == (1, 0, 0, 1)
    assert (found["channels"], found["height"], found["width"], found["label_is_integer"]) == (1, 28, 28, 1)
    assert found["test_is_alike"] == 1


def test_absent_files_keep_the_numbers_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="isn't in"):
        mnist.whole_set(tmp_path)
    assert "whole_set" not in run_topic("mnist", tmp_path).numbers
    known = Document(format=1, topic="mnist", code="0" * 64, numbers={"whole_set": {"train": 60_000}}, figure=[])
    assert run_topic("mnist", tmp_path, known).numbers["whole_set"] == {"train": 60_000}
