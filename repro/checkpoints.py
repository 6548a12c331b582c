"""Checkpoints: all that a run needs to go on, in a file whose checksum is tested before anything is read from it.

The newest is ``NAME.pt`` and the one before it ``NAME.before.pt``. A damaged one is refused, never skipped in silence.
"""

from __future__ import annotations

import glob
import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from repro.errors import CheckpointError
from repro.files import write_atomically

HEAD = b"cnn-repro checkpoint sha256="


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` (tensors, numbers, strings, and lists and dicts of them); the file at ``path`` so far becomes the one before."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    if path.exists():
        path.replace(before(path))
    write_atomically(path, HEAD + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The newest checkpoint, or None where there is none. Raises CheckpointError where it's truncated or altered."""
    found = next((file for file in (path, before(path)) if file.exists()), None)
    if found is None:
        return None
    head, _, payload = found.read_bytes().partition(b"\n")
    if head != HEAD + hashlib.sha256(payload).hexdigest().encode():
        older = before(path)
        cure = f"to go on from the one before it ({older.name})" if found == path and older.exists() else "to start the run again"
        raise CheckpointError(f"{found}: the checkpoint is truncated or altered: its checksum doesn't fit; remove it {cure}")
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


def remove_checkpoints(path: Path) -> None:
    """After the record is written, nothing is left to go on with, nor what a process left that was killed while it wrote."""
    for file in (path, before(path), *path.parent.glob(f".{glob.escape(path.name)}.*")):
        file.unlink(missing_ok=True)


def before(path: Path) -> Path:
    """The checkpoint before the newest."""
    return path.with_suffix(f".before{path.suffix}")
