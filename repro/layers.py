"""One layer of a network, in the field's words.

The same record describes a layer three times: as the paper's table implies it (closed form), as the
built network runs it (traced), and as the lock in the repository holds it. Comparing them is equality.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Shape = tuple[int, ...]

#: The kinds that the papers' networks are made of. A traced foreign network may hold others.
KINDS = (
    "conv", "linear", "rbf", "batchnorm", "lrn", "relu", "tanh", "maxpool", "avgpool", "subsampling",
    "dropout", "flatten", "add", "pad", "select", "cat",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with what it takes, what it gives and what it costs.

    Shapes are without the batch: ``(channels, height, width)`` or ``(units,)``. ``params`` are trainable
    parameters, a shared tensor once. ``macs`` are multiply-accumulates for one image, of convolutions,
    linear layers and LeNet-5's RBF; everything else has none. A field that a kind doesn't have is None.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: Shape
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    padding: tuple[int, ...] | None = None
    groups: int | None = None
    bias: bool | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    params: int = 0
    macs: int = 0

    def to_json(self) -> dict[str, Any]:
        """The layer as ``json.dumps`` takes it, in the order of the fields."""
        return dict(zip(FIELDS, _values(self), strict=True))

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Layer:
        """The inverse of :meth:`to_json`; raises KeyError or TypeError where a field is missing or unknown."""
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        return cls(**values)

    @property
    def connections(self) -> int:
        """Connections as LeCun et al. 1998 count them: one per multiplication and one per bias, at every output."""
        outputs = elements(self.output)
        if self.kind == "subsampling" and self.kernel:
            return outputs * (self.kernel[0] * self.kernel[1] + 1)
        return self.macs + (outputs if self.bias else 0)


#: Names of the fields of a layer, in the order of `repro show --json` and of the lock.
FIELDS = tuple(f.name for f in fields(Layer))
_values = operator.attrgetter(*FIELDS)


def size(shape: Shape) -> str:
    """``64x56x56``."""
    return "x".join(map(str, shape))


def elements(shape: Shape) -> int:
    """The number of values in a map of this shape, batch excluded."""
    product = 1
    for side in shape:
        product *= side
    return product
