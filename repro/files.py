"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a temporary file beside the target, then renames: the target is never half-written."""
    temporary = _written_beside(path, content)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_once(path: Path, content: bytes) -> Path:
    """Writes a file that nobody changes afterwards, under the first free name: ``run.json``, ``run-2.json``, ...

    Safe where several processes write at once: each gets a name of its own. An equal file that exists already is kept.
    """
    temporary, wanted, number = _written_beside(path, content), path, 1
    try:
        while True:
            try:
                os.link(temporary, path)  # fails where the name is taken; a rename would overwrite
                return path
            except FileExistsError:
                if path.read_bytes() == content:
                    return path
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
    finally:
        temporary.unlink(missing_ok=True)


def _written_beside(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
            os.fchmod(handle, 0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
