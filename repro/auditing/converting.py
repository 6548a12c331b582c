"""A module's weights for the network of the ledger that it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repro.auditing.carrying import carried_weights, carry_all, tensors_of
from repro.auditing.comparing import Comparison
from repro.auditing.naming import name_differences
from repro.auditing.proving import apart_by, first_output, paper_module
from repro.errors import CheckpointError

#: Of the largest output, in float32.
_TOLERANCE = 1e-3


def convert(module: nn.Module, found: Comparison) -> tuple[dict[str, Tensor], list[str]]:
    """The ``state_dict`` of the network of the ledger, and notes: readings, and how near the two outputs are on a random input.

    Where dropout sits and its rate is no obstacle. Raises CheckpointError where anything else differs, which it names.
    """
    network, alignment = found.network, found.alignment
    named = name_differences(network.name, alignment.paper, alignment.found, alignment.differences).differences
    kinds = {alignment.paper.nodes[number].kind for row in named for number in row.paper_nodes}
    kinds |= {alignment.found.nodes[number].kind for row in named for number in row.nodes}
    if named and kinds != {"dropout"}:
        raise CheckpointError(f"weights can't be carried into {network.name}: {'; '.join(row.name or row.where for row in named)}")
    tensors = {name: tensor.float() for name, tensor in tensors_of(module).items() if tensor.is_floating_point()}
    theirs = paper_module(network, alignment)
    try:
        weights = carry_all(carried_weights(alignment), tensors, theirs)
    except ValueError as error:
        raise CheckpointError(f"weights can't be carried into {network.name}: {error}") from None
    theirs.load_state_dict(weights, assign=True)
    x = torch.randn(2, *alignment.found.input, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        apart = apart_by(theirs.eval()(x), first_output(module.float().eval()(x)))
    if not apart <= _TOLERANCE:
        raise CheckpointError(
            f"weights were carried into {network.name}, but the outputs differ by {apart:.1g} of the largest; not written"
        )
    return weights, [*found.notes, *(row.name for row in named), f"outputs on a random input differ by {apart:.1g} of the largest"]
