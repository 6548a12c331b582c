"""Checkpoints: read without running code, fitted to the module that they were saved from, written as safetensors."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from repro.errors import CheckpointError
from repro.files import write_atomically
from repro.layers import size

#: Under which keys training scripts keep the weights of the network, the likeliest first.
_KEPT_AS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
#: Parts of a name that a wrapper adds: DataParallel, torch.compile.
_WRAPPERS = ("module", "_orig_mod")
#: How many names a message lists.
_NAMED = 4


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of one that ``torch.save`` wrote, by name; nothing in it is run.

    Names that a wrapper made longer are as in the bare module. Raises CheckpointError.
    """
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path.name}: no such file") from None
    except pickle.UnpicklingError as error:
        thing = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise CheckpointError(
            f"{path.name} isn't read, since it may run code: it holds more than tensors{f' ({thing[1]})' if thing else ''}; "
            "if you trust it, `torch.load(FILE, weights_only=False)` reads it: save its state_dict alone"
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, zipfile.BadZipFile, KeyError):
        what = "a folder" if path.is_dir() else "no whole checkpoint"
        raise CheckpointError(f"{path.name} is {what}; give a file that torch.save or safetensors wrote") from None
    return {_bare(name): tensor for name, tensor in _weights(path.name, found).items()}


def _weights(file: str, found: Any) -> Mapping[str, Tensor]:
    """The mapping of names to tensors within what was saved."""
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{file} holds a {type(found).__name__}, expected a state_dict: names and tensors")
    if not found:
        raise CheckpointError(f"{file} is empty, expected a state_dict: names and tensors")
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor) and isinstance(name, str)}
    if tensors and len(tensors) == len(found):
        return tensors
    inner = [key for key in _KEPT_AS if isinstance(found.get(key), Mapping)]
    inner = inner or [
        key for key, value in found.items() if isinstance(value, Mapping) and any(isinstance(part, Tensor) for part in value.values())
    ]
    if not inner or (len(inner) > 1 and inner[0] not in _KEPT_AS):
        raise CheckpointError(f"{file} holds {_listed(map(str, found))}, none of which is a state_dict; save `model.state_dict()`")
    return _weights(f"{file}[{inner[0]!r}]", found[inner[0]])


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], file: str) -> None:
    """Puts a checkpoint's tensors into the module that it was saved from. Raises CheckpointError, which names what doesn't fit.

    A name before all others (``model.conv1.weight``) is left out where the module hasn't got it.
    """
    wanted = {_bare(name): tensor for name, tensor in module.state_dict().items()}
    first = {name.split(".")[0] for name in weights}
    if len(first) == 1 and not any(name.split(".")[0] in first for name in wanted):
        weights = {name.partition(".")[2]: tensor for name, tensor in weights.items()}
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    unknown = [name for name in weights if name not in wanted]
    other = [
        f"{name} is {_described(weights[name])}, not {_described(tensor)}"
        for name, tensor in wanted.items()
        if name in weights and (weights[name].shape != tensor.shape or (tensor.is_floating_point() != weights[name].is_floating_point()))
    ]
    parts = [("lacks", missing), ("has in addition", unknown), ("differs:", other)]
    if any(names for _, names in parts):
        text = "; ".join(f"{what} {_listed(names)}" for what, names in parts if names)
        raise CheckpointError(f"{file} doesn't fit the target: it {text}")
    with torch.no_grad():
        for name, tensor in wanted.items():
            if name in weights:
                tensor.copy_(weights[name])


def _described(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" of {str(tensor.dtype).removeprefix('torch.')}"
    return (size(tuple(tensor.shape)) or "a number") + kind


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


def write_weights(path: Path, weights: Mapping[str, Tensor], network: str) -> None:
    """Writes safetensors, whole or not at all; the file says of which network of the ledger they are."""
    write_atomically(path, save(dict(weights), metadata={"format": "pt", "network": network}))
