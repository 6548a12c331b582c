"""Files that are whole or not there."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def uninterrupted() -> Iterator[None]:
    """An interrupt waits until this is left, so that what is written and what is known of it go together. For the main thread."""
    heard: list[int] = []
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in old:
        signal.signal(number, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        for again in heard:
            signal.raise_signal(again)


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
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
            os.fchmod(handle, 0o644)
    except BaseException as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk names no file, and a read-only folder the temporary one
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    return Path(name)
