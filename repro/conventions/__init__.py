"""Which counting convention gives this number?

``solve(ledger, "resnet50", "4.14e9")`` tries every combination of what may be counted otherwise than in the ledger: the
place of the stride, the shortcut option, FC layers, biases, BN, pooling, activations, MACs or FLOPs, 10^9 or 2^30, rounded or
cut off, 224 or 227. ``solution_lines(solutions)`` is the answer as text.
"""

from __future__ import annotations

from repro.conventions.choices import Convention
from repro.conventions.counts import Step
from repro.conventions.lines import solution_lines
from repro.conventions.solving import Solution, Solutions, solve

__all__ = ["Convention", "Solution", "Solutions", "Step", "solution_lines", "solve"]
