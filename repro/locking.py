"""The layer lock: what each network ran as when somebody last looked, as text in the repository.

A lock is the document of ``repro show NETWORK --json``, one layer a line, so that a drift is a readable
diff. It is compared with the layers of the network that runs now; any difference is drift until
``repro lock --write`` accepts it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from repro.errors import LockError
from repro.files import write_atomically
from repro.layers import FIELDS, Layer, Shape

LOCKS = Path(__file__).resolve().parent / "locks"
RELOCK = "repro lock --write"


class Locked(Protocol):
    """What a lock says of a network besides its layers: a name, ``(channels, height, width)``, and how many values aren't trained."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def input(self) -> Shape: ...  # noqa: D102

    @property
    def fixed_params(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one layer. A layer that is only on one side has the field "layer"."""

    layer: str
    field: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        if self.field == "layer":
            return f"layer {self.layer} is {'missing' if self.found is None else 'new'}"
        return f"layer {self.layer}: {self.field} is {_shown(self.found)}, expected {_shown(self.expected)}"


def head(network: Locked, layers: Sequence[Layer]) -> dict[str, Any]:
    """A network with these layers, without them: its name, input and totals as JSON types."""
    return {
        "network": network.name,
        "input": list(network.input),
        "params": sum(layer.params for layer in layers),
        "fixed_params": network.fixed_params,
        "macs": sum(layer.macs for layer in layers),
    }


def document(network: Locked, layers: Sequence[Layer]) -> dict[str, Any]:
    """A network with these layers as JSON types: the fields of ``repro show --json`` and of the lock."""
    return head(network, layers) | {"layers": [layer.to_json() for layer in layers]}


def lock_text(network: Locked, layers: Sequence[Layer]) -> str:
    """The lock file's text: a JSON document with one layer a line."""
    text = json.dumps(document(network, layers))
    return text.replace('"layers": [{', '"layers": [\n{').replace('}, {"name"', '},\n{"name"') + "\n"


def lock_path(name: str, folder: Path = LOCKS) -> Path:
    """Where the lock of a network lives."""
    return folder / f"{name}.json"


def is_locked(network: Locked, layers: Sequence[Layer], path: Path) -> bool:
    """Whether the lock holds exactly these layers; False too where there is no lock or it can't be read."""
    try:
        return path.read_bytes() == lock_text(network, layers).encode()
    except OSError:
        return False


def read_lock(name: str, path: Path, relock: str = RELOCK) -> tuple[Layer, ...]:
    """The locked layers of a network. Raises LockError where there is no lock or it can't be read; ``relock`` is the cure."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["layers"]
        return tuple(Layer.from_json(row) for row in rows)
    except FileNotFoundError:
        raise LockError(f"{name}: no lock at {_shown_path(path)}; write it with `{relock}`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise LockError(f"{name}: {_shown_path(path)} is no lock ({problem}); restore it, or rewrite it with `{relock}`") from None


def _shown_path(path: Path) -> str:
    """Relative to where the command runs, or the name alone."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name


def head_difference(network: Locked, layers: Sequence[Layer], path: Path, relock: str = RELOCK) -> str:
    """Why a lock whose layers are equal isn't the lock of this network: its input, a total, or how the file is written."""
    locked = json.loads(path.read_text(encoding="utf-8"))
    for key, found in head(network, layers).items():
        if locked.get(key) != found:
            return f"{key} is {_shown(found)}, the lock has {_shown(locked.get(key))}"
    return f"the lock isn't written as `{relock}` writes it"


def write_lock(network: Locked, layers: Sequence[Layer], path: Path) -> bool:
    """Writes the lock of a network; False where it already says so."""
    if is_locked(network, layers, path):
        return False
    write_atomically(path, lock_text(network, layers).encode())
    return True


def compare_layers(expected: Sequence[Layer], found: Sequence[Layer]) -> list[Difference]:
    """Every difference between two lists of layers, matched by name, in the order in which the layers run."""
    if tuple(expected) == tuple(found):
        return []
    position = {layer.name: number for number, layer in enumerate(expected)}
    present = {layer.name for layer in found}
    rows: list[tuple[float, Difference]] = [
        (position[layer.name], Difference(layer.name, "layer", layer.kind, None)) for layer in expected if layer.name not in present
    ]
    last = -1.0
    for layer in found:
        if layer.name not in position:
            rows.append((last + 0.5, Difference(layer.name, "layer", None, layer.kind)))
            continue
        last = position[layer.name]
        wanted = expected[position[layer.name]]
        changed = (field for field in FIELDS if getattr(wanted, field) != getattr(layer, field))
        rows += [(last, Difference(layer.name, field, getattr(wanted, field), getattr(layer, field))) for field in changed]
    if not rows:
        rows = [(0, Difference(found[0].name, "order", [layer.name for layer in expected], [layer.name for layer in found]))]
    return [difference for _, difference in sorted(rows, key=lambda row: row[0])]


def _shown(value: Any) -> str:
    text = json.dumps(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:77] + "..."
