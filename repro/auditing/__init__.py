"""Anybody's module against the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from repro.auditing.results import Audit, Difference

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Audit", "Difference", "audit"]


def audit(
    model: nn.Module | Callable[[], nn.Module], as_: str | None = None, input: Sequence[int] | None = None, proof: bool = True
) -> Audit:
    """Holds a module, or what makes one without arguments, against a network of the ledger, or the nearest one.

    ``input`` is (channels, height, width), by default the paper's, or the first of the papers' that the module takes.
    Where the structure is equal, both networks run on the same weights, unless ``proof`` is False. The module isn't changed.
    A module that can't be run or traced has the verdict "error". Raises UnknownName for ``as_``, ReproError for what is no module
    or has no code to trace, such as a ScriptModule.
    """
    from repro.auditing.comparing import compare

    return compare(model, as_, input, proof)
