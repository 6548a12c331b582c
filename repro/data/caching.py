"""Decoded images as one file in the user's cache folder, so that a folder is decoded once.

The file is a SHA-256 of the rest and numpy's own format. It is made anew where the images changed (their names, sizes or
times, or Pillow) and where it is damaged.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL

from repro.files import write_atomically

Arrays = dict[str, np.ndarray]


def cache_folder() -> Path:
    """``cnn-repro`` in the user's cache folder: XDG_CACHE_HOME or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnn-repro"


def cache_file(path: Path, size: int | None) -> Path:
    """One file for each folder and size, so that a folder that changes leaves nothing behind."""
    place = hashlib.sha256(f"{path.resolve()} {size}".encode()).hexdigest()
    return cache_folder() / f"{path.resolve().stem}-{place[:12]}.cache"


def stamp(path: Path) -> str:
    """Changes with every name, size and time of modification below ``path``, or of ``path`` itself where it is a file."""
    digest = hashlib.sha256(f"Pillow {PIL.__version__}".encode())
    for folder, subfolders, names in os.walk(path, onerror=_refuse, followlinks=True):
        subfolders.sort()
        for name in sorted(names):
            entry = Path(folder, name).stat()
            digest.update(f"{folder}/{name}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode(errors="surrogateescape"))
        digest.update(f"{folder}\n".encode(errors="surrogateescape"))
    entry = path.stat()
    digest.update(f"{entry.st_size} {entry.st_mtime_ns}".encode())
    return digest.hexdigest()


def _refuse(error: OSError) -> None:
    """os.walk would leave out what it may not read. A tar file is no folder, and that's fine."""
    if not isinstance(error, NotADirectoryError):
        raise error


def read_cache(file: Path, stamp: str) -> Arrays | None:
    """What ``write_cache`` wrote with this stamp; None where there is nothing or something else, with a message where it is damaged."""
    if not file.exists():
        return None
    content = file.read_bytes()
    digest, rest = content[:32], memoryview(content)[32:]
    if hashlib.sha256(rest).digest() != digest:
        print(f"{file} is damaged; the images are decoded again", file=sys.stderr)
        return None
    with np.load(io.BytesIO(rest), allow_pickle=False) as arrays:
        return dict(arrays) if arrays["stamp"] == stamp else None


def write_cache(file: Path, stamp: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps the arrays. A folder that can't be written to, or a full disk, costs the time of decoding again, not the run."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, stamp=np.array(stamp), **arrays)
    content = packed.getvalue()
    try:
        write_atomically(file, hashlib.sha256(content).digest() + content)
    except OSError as error:
        print(f"{file} can't be written ({error.strerror}); the images will be decoded again next time", file=sys.stderr)
