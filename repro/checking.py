"""The gate: each network against its table, its lock and the other counters; then each claim.

What must hold for a network, in this order:

1. the layers that run, in evaluation and in training mode, equal those that the printed table implies (without torch: not looked at);
2. the layers equal the lock;
3. torch's count of MACs, plus the layers it has no formula for, equals the closed form; so does fvcore's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from repro.claims import Judgement, judge_claim
from repro.errors import LockError
from repro.layers import Layer
from repro.locking import LOCKS, RELOCK, compare_layers, head_difference, is_locked, lock_path, read_lock
from repro.tables import Ledger, Network

Counter = Literal["closed-form", "torch", "fvcore"]


@dataclass(frozen=True, slots=True)
class Drift:
    """A gate that fails for a network: what differs first, which printed cell that breaks, the cure."""

    network: str
    gate: Literal["layers", "lock", "macs"]
    expected: int | None
    found: int | None
    message: str
    where: str
    command: str
    file: str = ""
    line: int = 1

    def to_json(self) -> dict[str, Any]:
        """A row of ``repro check --json``, beside those of the claims."""
        return {
            "id": f"{self.network}/{self.gate}",
            "network": self.network,
            "quantity": self.gate,
            "printed": None,
            "unit": None,
            "low": self.expected,
            "high": self.expected,
            "measured": self.found,
            "verdict": "drift",
            "reason": self.message,
            "where": self.where,
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """MACs of one network by each counter; None where it wasn't asked. ``unseen`` is what no counter has a formula for."""

    network: str
    closed_form: int
    torch: int | None = None
    fvcore: int | None = None
    unseen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """What ``repro check`` found."""

    networks: tuple[str, ...]
    counts: tuple[Counts, ...]
    drifts: tuple[Drift, ...]
    judgements: tuple[Judgement, ...]

    @property
    def ok(self) -> bool:
        """Nothing drifts: deviations are known and claims not attempted are no fault."""
        return not self.drifts and all(judgement.verdict != "drift" for judgement in self.judgements)

    def to_json(self) -> list[dict[str, Any]]:
        """Drifts first, then every claim."""
        return [drift.to_json() for drift in self.drifts] + [judgement.to_json() for judgement in self.judgements]


def check_ledger(
    ledger: Ledger,
    names: Sequence[str] = (),
    counters: Iterable[Counter] = ("closed-form", "torch"),
    *,
    locks: Path = LOCKS,
    progress: Callable[[str], None] = lambda name: None,
) -> Check:
    """Checks these networks (all by default) and judges their claims. ``progress`` hears each network's name before it."""
    chosen = tuple(dict.fromkeys(names)) or ledger.networks
    networks = [ledger.network(name) for name in chosen]
    drifts: list[Drift] = []
    counts: list[Counts] = []
    for network in networks:
        progress(network.name)
        found, counted = check_network(network, frozenset(counters), locks)
        drifts += found
        counts.append(counted)
    judgements = tuple(judge_claim(ledger, claim) for claim in ledger.claims if claim.network in chosen)
    return Check(chosen, tuple(counts), tuple(drifts), judgements)


def check_network(network: Network, counters: frozenset[Counter], locks: Path = LOCKS) -> tuple[list[Drift], Counts]:
    """Every gate of one network that fails, and what each counter says."""
    if not counters & {"torch", "fvcore"}:
        return check_layers(network, network.layers, locks), Counts(network.name, network.macs)
    from repro.counting.tracing import build_to_trace, trace

    built = build_to_trace(network)
    ran = trace(built, network.input)
    drifts = check_layers(network, ran.layers, locks)
    trained = trace(built, network.input, training=True).layers
    drifts += [
        replace(drift, message=f"in training mode {drift.message}") for drift in _layer_drift(network, "layers", ran.layers, trained)
    ]
    counts = Counts(network.name, network.macs, ran.torch_macs, unseen=ran.unseen)
    if "fvcore" in counters:
        from repro.building import build
        from repro.counting.with_fvcore import count_macs_with_fvcore

        counts = replace(counts, fvcore=count_macs_with_fvcore(build(network), network.input))
    return drifts + _check_macs(network, counts), counts


def check_layers(network: Network, layers: Sequence[Layer], locks: Path = LOCKS) -> list[Drift]:
    """Layers that run (or that the table implies) against the table and the lock."""
    drifts = _layer_drift(network, "layers", network.layers, layers)
    path = lock_path(network.name, locks)
    if is_locked(network, layers, path):
        return drifts
    try:
        locked = read_lock(network.name, path)
    except LockError as error:
        return [*drifts, _drift(network, "lock", None, None, str(error), 0, RELOCK)]
    if changed := _layer_drift(network, "lock", locked, layers):
        return drifts + changed
    message = f"{head_difference(network, layers, path)}; if meant, run `{RELOCK}`"
    return [*drifts, _drift(network, "lock", None, None, message, 0, RELOCK)]


def _layer_drift(network: Network, gate: Literal["layers", "lock"], expected: Sequence[Layer], found: Sequence[Layer]) -> list[Drift]:
    """Layers that run against those of the printed table ("layers") or of the lock ("lock")."""
    differences = compare_layers(expected, found)
    if not differences:
        return []
    more = f" (the first of {len(differences)} differences)" if len(differences) > 1 else ""
    row = _row_of(network, differences[0].layer, found)
    cure = f"if meant, run `{RELOCK}`" if gate == "lock" else "correct repro/building.py"
    message = f"{differences[0]}{more}; that breaks {network.place(row)}; {cure}"
    return [_drift(network, gate, len(expected), len(found), message, row, RELOCK if gate == "lock" else f"repro show {network.name}")]


def _check_macs(network: Network, counts: Counts) -> list[Drift]:
    """Each counter's MACs, plus those of layers that no counter has a formula for, against the closed form."""
    drifts, unseen = [], sum(counts.unseen.values())
    for counter, counted in (("torch", counts.torch), ("fvcore", counts.fvcore)):
        if counted is None or counted + unseen == counts.closed_form:
            continue
        missing = f" plus {unseen:,d} that it can't see" if unseen else ""
        cure = "correct repro/counting/ or repro/building.py"
        message = f"{counter} counts {counted:,d} MACs{missing}, the printed table gives {counts.closed_form:,d}: {cure}"
        drifts.append(_drift(network, "macs", counts.closed_form, counted + unseen, message, 0, f"repro show {network.name}"))
    return drifts


def _drift(
    network: Network, gate: Literal["layers", "lock", "macs"], expected: int | None, found: int | None, message: str, row: int, command: str
) -> Drift:
    file, line = source_line(network, row)
    return Drift(network.name, gate, expected, found, message, network.place(row), command, file, line)


def _row_of(network: Network, layer: str, found: Sequence[Layer]) -> int:
    """The printed row that a layer belongs to; one that the table doesn't have stands where it runs."""
    rows = {known.name: row for known, row in zip(network.layers, network.rows, strict=True)}
    near = 0
    for other in found:
        near = rows.get(other.name, near)
        if other.name == layer:
            return near
    stem = layer.split(".")[0].split("_")
    family = (row for name, row in rows.items() if name.split(".")[0].split("_")[:2] == stem[:2] or name == stem[0])
    return rows.get(layer, next(family, near))


def source_line(network: Network, row: int) -> tuple[str, int]:
    """The file and line of a printed row, for annotations."""
    entry = network.table.rows[row]
    path = Path(__file__).parent / "papers" / network.paper.file
    cell = network.cell(row)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if f'name = "{entry.name}"' in line and cell in line:
            return f"repro/papers/{network.paper.file}", number
    return f"repro/papers/{network.paper.file}", 1
