"""A module's weights for the network of the ledger that it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repro.auditing.aligning import likeness
from repro.auditing.carrying import carried_weights, carry_all, tensors_of
from repro.auditing.comparing import Comparison, papers
from repro.auditing.naming import name_differences
from repro.auditing.proving import apart_by, output_of, paper_module
from repro.errors import CheckpointError

#: Of the largest output, in float32.
_TOLERANCE = 1e-3
_EPS = 1e-5  #: that the networks of the ledger have


def convert(module: nn.Module, found: Comparison) -> tuple[dict[str, Tensor], list[str]]:
    """The ``state_dict`` of the network of the ledger, and notes: readings, and how near the two outputs are on a random input.

    Where dropout sits, its rate, and what isn't trained are no obstacle. Another eps of BN is added to the running variances.
    Raises CheckpointError where anything else differs, which it names.
    """
    network, alignment = found.network, found.alignment
    named = _check(found)
    tensors = {name: tensor.float() for name, tensor in tensors_of(module).items() if tensor.is_floating_point()}
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{name} holds NaN or infinite values")
    theirs = paper_module(network, alignment)
    try:
        weights = carry_all(carried_weights(alignment), tensors, theirs)
    except ValueError as error:
        raise CheckpointError(f"weights can't be carried into {network.name}: {error}") from None
    for name, norm in theirs.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            weights[f"{name}.running_var"] = weights[f"{name}.running_var"] + (norm.eps - _EPS)
            norm.eps = _EPS
    theirs.load_state_dict(weights, assign=True)
    x = torch.randn(2, *alignment.found.input, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        apart = apart_by(theirs.eval()(x), output_of(module.float().eval()(x), alignment.found.output_index))
    if not apart <= _TOLERANCE:
        text = f"the outputs differ by {apart:.1g} of the largest"
        raise CheckpointError(f"weights were carried into {network.name}, but {text}; not written")
    return weights, [*found.notes, *named, f"in evaluation mode, outputs on a random input differ by {apart:.1g} of the largest"]


def _check(found: Comparison) -> list[str]:
    """The names of the differences, all of which leave the weights alone. Raises CheckpointError."""
    paper, graph = found.alignment.paper, found.alignment.found
    rows = name_differences(found.network.name, paper, graph, found.alignment.differences).differences
    for row in rows:
        kinds = {paper.nodes[number].kind for number in row.paper_nodes} | {graph.nodes[number].kind for number in row.nodes}
        if kinds != {"dropout"} and set(row.changes) != {"frozen"} and row.kind != "follows":
            named = "; ".join(row.name or row.where for row in rows)
            other = next((name for name, one in papers().items() if likeness(one, graph) == 1), None)
            hint = f"; try --as {other}" if other else ""
            raise CheckpointError(f"weights can't be carried into {found.network.name}: {named}{hint}")
    return [row.name for row in rows]
