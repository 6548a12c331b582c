"""What an audit found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from repro.auditing import lines
from repro.layers import Shape

Verdict = Literal["exact", "same-structure", "variant", "wrong", "not-paper", "error"]
Kind = Literal["missing", "extra", "changed", "follows"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the candidate isn't the paper's network.

    ``kind``: an operation that the candidate lacks ("missing") or has more ("extra"), one that is another
    ("changed"), or one that is the same but whose size, and cost, another difference changes ("follows").
    ``changes`` is attribute -> (expected, found) of a changed operation; ``paper_nodes`` and ``nodes`` are the numbers
    in the two graphs. ``name`` is what the difference is usually called, "" where it has no name; ``makes`` is the verdict of a
    model that has it, and ``why`` a sentence on that.
    """

    kind: Kind
    where: str
    expected: str | None
    found: str | None
    params_delta: int
    macs_delta: int
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    paper_nodes: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()
    name: str = ""
    makes: str = "wrong"
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """A row of ``repro audit --json``."""
        fields = ("kind", "where", "expected", "found", "params_delta", "macs_delta", "name", "makes", "why")
        return {name: getattr(self, name) for name in fields}


@dataclass(frozen=True, slots=True)
class Audit:
    """A candidate against a network of the ledger. ``near`` is the share of equal operations, 0 to 1, ``input`` the
    (channels, height, width) of the images.

    ``proof`` says what was run and how close the numbers came, None where nothing was. What is the paper's network by its
    structure is "exact" with a proof, "same-structure" without. Raises AssertionError where
    the differences don't add up to the difference of the totals.
    """

    target: str
    network: str | None
    verdict: Verdict
    params: int | None = None
    macs: int | None = None
    paper_params: int | None = None
    paper_macs: int | None = None
    differences: tuple[Difference, ...] = ()
    proof: str | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    near: float | None = None
    input: Shape | None = None

    def __post_init__(self) -> None:
        for name in ("params", "macs"):
            found, expected = getattr(self, name), getattr(self, f"paper_{name}")
            if self.network is not None and found is not None and expected is not None:
                total = sum(getattr(difference, f"{name}_delta") for difference in self.differences)
                assert total == found - expected, f"{self.target}: differences sum to {total} {name}, not {found - expected}"

    @property
    def ok(self) -> bool:
        """The paper's network, or a named variant of it."""
        return self.verdict in ("exact", "same-structure", "variant")

    def __str__(self) -> str:
        """What ``repro audit`` prints."""
        return "\n".join(lines.audit_lines(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """The document of ``repro audit --json``."""
        same = ("target", "network", "verdict", "params", "macs", "paper_params", "paper_macs", "proof", "error", "near")
        rows = [difference.to_json() for difference in self.differences]
        found = {name: getattr(self, name) for name in same} | {"differences": rows, "notes": list(self.notes)}
        return found | {"input": list(self.input) if self.input else None}
