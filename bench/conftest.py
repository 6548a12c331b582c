"""Collects the ratios of a run and prints them with the machine that gave them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field

import pytest

from repro import machine


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Prints the ratios of this run."""
    if _BARS.lines:
        terminalreporter.section("ratios in this run")
        terminalreporter.write_line(f"{machine.processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
        for line in _BARS.lines:
            terminalreporter.write_line(line)
