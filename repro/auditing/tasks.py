"""What is done with a target's module in its own process; each task gives JSON types.

All that a task needs is imported here, and so before the target is: its folders stand first on ``sys.path`` while it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401  # or tracing imports it, once the target is there
from torch import nn

from repro import auditing
from repro.auditing.comparing import compare_module, without_random_weights
from repro.auditing.constructing import construct, on_cpu, sizes_that_work
from repro.auditing.converting import convert
from repro.auditing.faults import describe
from repro.auditing.importing import Imported
from repro.auditing.reading import bare
from repro.auditing.targets import Target, find_call
from repro.auditing.weights import load_weights, read_checkpoint, write_weights
from repro.errors import ReproError, TargetError
from repro.layers import size
from repro.model_lock import lock_model
from repro.tables import load_ledger


def load(target: Target, imported: Imported) -> tuple[nn.Module, list[str]]:
    """The target's module, and notes on how it was come by. Raises TargetError."""
    try:
        call = find_call(target, imported.name)
        with without_random_weights():
            module, notes = construct(call, target.text, imported.root)
    except ReproError as error:
        if imported.fault and imported.fault not in str(error):
            raise TargetError(f"{error} (before that, {imported.fault})") from error
        raise
    except Exception as error:
        raise TargetError(describe(error, imported.root, target.text)) from error
    return module, [*imported.notes, *notes]


def run_audit(target: Target, imported: Imported, as_: str | None, input: list[int] | None, proof: bool) -> dict[str, Any]:
    """The document of ``repro audit --json``."""
    module, notes = load(target, imported)
    try:
        with on_cpu():
            found = auditing.audit(module, as_=as_, input=tuple(input) if input else None, proof=proof)
    except ReproError as error:
        raise TargetError(f"{target.text}: {error}{_hint(error, module, input)}") from error
    fault = f"{found.error}{_hint(found.error, module, input)}" if found.verdict == "error" else None
    return replace(found, target=target.text, notes=(*notes, *found.notes), error=fault).to_json()


def _hint(error: object, module: nn.Module, tried: list[int] | None) -> str:
    """Which inputs work, where the module ran on none."""
    if "can't be run" not in str(error):
        return ""
    works = [size(shape) for shape in sizes_that_work(module) if list(shape) != tried]
    return f"; it takes {' or '.join(works)}: give --input {works[0]}" if works else "; give its own input with --input CxHxW"


def run_lock(target: Target, imported: Imported, input: list[int] | None) -> dict[str, Any]:
    """The document of a lock. Without an input, that of an audit."""
    module, notes = load(target, imported)
    with on_cpu():
        try:
            shape = tuple(input) if input else compare_module(bare(module), None, None).alignment.found.input
        except ReproError as error:
            raise TargetError(f"{target.text}: {error}; give its own with --input CxHxW") from error
        found = lock_model(module, target.called, shape)
    return found.to_json() | {"notes": notes}


def run_convert(target: Target, imported: Imported, as_: str, input: list[int] | None, weights: str, out: str) -> dict[str, Any]:
    """Writes the weights; how many tensors and trainable parameters they are, and notes."""
    module, notes = load(target, imported)
    network, file = load_ledger().network(as_), Path(weights)
    module = bare(module)
    load_weights(module, read_checkpoint(file), file.name)
    with on_cpu():
        tensors, more = convert(module, compare_module(module, network, tuple(input) if input else None))
    write_weights(Path(out), tensors, network.name)
    return {"tensors": len(tensors), "params": network.params, "notes": [*notes, *more]}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {"audit": run_audit, "convert": run_convert, "lock": run_lock}
