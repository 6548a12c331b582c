"""Collects the ratios of a run and prints them with the machine that gave them, which pytest-benchmark's JSON gets too."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from bench import jobs, search
from bench.roof import LIMIT, find_all
from repro import machine
from repro.tables import load_ledger
from repro.throughput.pytest_json import SESSION
from repro.throughput.timing import Session

#: Sizes of the matrix products whose best rate is the roof: fewer than those of `repro bench`, to take seconds.
SIZES = (512, 1024, 2048, 4096)


@dataclass
class Bars:
    """Lines for the end of the run: what was compared, the ratio, the bar."""

    lines: list[str] = field(default_factory=list)

    def add(self, what: str, value: float, bar: str, met: bool, unit: str = "x") -> None:
        """Notes one measured value beside the bar that it should meet."""
        self.lines.append(f"{what:<58} {value:8.2f} {unit:<3} bar {bar:<8} {'met' if met else 'MISSED'}")

    def skip(self, what: str) -> None:
        """Notes what couldn't be measured here."""
        self.lines.append(what)


_BARS = Bars()


@pytest.fixture(scope="session")
def bars() -> Bars:
    """Where a benchmark notes its ratio."""
    return _BARS


#: By device: what is known of the machine before a benchmark's rows.
_SESSIONS: dict[str, Session] = {}


@pytest.fixture(scope="session")
def about() -> Callable[[str], Session]:
    """``about(device)`` is a session without rows; its roofs are measured when it's first asked for."""

    def measured(device: str) -> Session:
        if device not in _SESSIONS:
            _SESSIONS[device] = _measure(device)
        return _SESSIONS[device]

    return measured


def _measure(device: str) -> Session:
    base = search.eager(load_ledger().network("resnet18"), "inference", device)
    return Session(
        source="pytest-benchmark",
        device=device,
        environment=machine.environment(device),
        memory=psutil.virtual_memory().total,
        **find_all(device, base.threads, jobs.possible_dtypes(base), SIZES, LIMIT),
    )


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Adds the session without rows that `repro bench --take` reads, where one was measured in this run."""
    for session in _SESSIONS.values():
        machine_info[SESSION] = session.model_dump(mode="json", exclude={"rows"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Prints the ratios of this run."""
    if _BARS.lines:
        terminalreporter.section("ratios in this run")
        terminalreporter.write_line(f"{machine.processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
        for line in _BARS.lines:
            terminalreporter.write_line(line)
