"""Checks with two real processes: what they find, and how a failure is said."""

from __future__ import annotations

import os

import pytest

from repro import distributed
from repro.errors import ReproError
from repro.lectures import shares, two_towers
from repro.lectures.judging import Numbers
from repro.lectures.processes import in_processes


def who() -> Numbers:
    return {"rank": distributed.rank(), "world": distributed.world(), "process": os.getpid()}


def fail() -> Numbers:
    raise ValueError("no such thing")


def test_first_of_two_processes_answers() -> None:
    found = in_processes(who)
    assert (found["rank"], found["world"]) == (0, 2)
    assert found["process"] != os.getpid()


def test_a_process_that_fails_is_one_line() -> None:
    with pytest.raises(ReproError, match="ended early: ValueError: no such thing; run it again"):
        in_processes(fail)


def test_two_towers_equal_the_grouped_network_with_four_exchanges() -> None:
    found = two_towers.compare_towers()
    assert found["off"] <= 1e-4
    assert (found["exchanges"], found["conv3_exchanged"], found["fc_exchanged"], found["others_exchanged"]) == (4, 1, 3, 0)
    assert found["lrn_across_percent"] > 0.1
    assert 2 * found["tower_params"] == found["params"] == 60_965_224


def test_shared_batches_end_at_the_same_weights_and_only_with_the_mean() -> None:
    found = shares.compare_shares()
    assert found["off"] <= 1e-4
    assert found["off_without_average_percent"] > 10
    assert (found["processes"], found["share"], found["batch"]) == (2, 4, 8)
