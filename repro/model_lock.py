"""The layer lock of anybody's model: the same document and messages as that of our own networks, in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import LockError, TargetError
from repro.layers import Layer, Shape
from repro.locking import compare_layers, document, head_difference, is_locked, read_lock, write_lock

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class LockedModel:
    """A model's layers for one input of ``(channels, height, width)``. ``fixed_params`` are parameters that aren't trained."""

    name: str
    input: Shape
    fixed_params: int
    layers: tuple[Layer, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that the lock holds."""
        return document(self, self.layers)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> LockedModel:
        """The inverse of :meth:`to_json`."""
        return cls(found["network"], tuple(found["input"]), found["fixed_params"], tuple(map(Layer.from_json, found["layers"])))

    def write(self, path: Path) -> bool:
        """Writes the lock; False where it already says so."""
        return write_lock(self, self.layers, path)

    def drift(self, path: Path, relock: str) -> str | None:
        """What differs from the lock, in one line with the cure ``relock``; None where nothing does."""
        if is_locked(self, self.layers, path):
            return None
        if (owner := locked_name(path)) not in (None, self.name):
            return f"{path.name} is the lock of {owner}, not of {self.name}; give each a lock of its own"
        try:
            differences = compare_layers(read_lock(self.name, path, relock), self.layers)
        except LockError as error:
            return str(error)
        more = f" (the first of {len(differences)} differences)" if len(differences) > 1 else ""
        what = f"{differences[0]}{more}" if differences else head_difference(self, self.layers, path, relock)
        return f"{what}; if meant, run `{relock}`"


def lock_model(module: nn.Module, name: str, input: Sequence[int]) -> LockedModel:
    """The layers of a module, traced on a copy on the meta device, where nothing is computed.

    ``input`` is ``(channels, height, width)``. Raises TargetError where the module can't run there.
    """
    import copy

    import torch

    from repro.auditing.reading import bare
    from repro.counting.tracing import trace

    module = bare(module)
    try:
        with torch.device("meta"):  # tensors that the module makes while it runs, too
            layers = trace(copy.deepcopy(module).to("meta"), tuple(input)).layers
    except Exception as error:
        why = str(error).strip().splitlines()[:1]
        raise TargetError(
            f"{name} can't run on {'x'.join(map(str, input))} without values: {type(error).__name__}: {' '.join(why)}"
        ) from error
    fixed = sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)
    return LockedModel(name, tuple(input), fixed, layers)


def locked_input(path: Path) -> Shape | None:
    """The input that a lock was written for; None where there is no lock that says so."""
    try:
        return tuple(int(side) for side in _document(path)["input"])
    except (KeyError, TypeError, ValueError):
        return None


def locked_name(path: Path) -> str | None:
    """Whose lock it is; None where there is none."""
    return _document(path).get("network")


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
