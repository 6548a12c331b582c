"""What can go wrong, as a small family.

ReproError            anything that a user can cure; the command prints it as one line and ends with exit code 2
├── NotationError     a printed cell that can't be read
├── TableError        a file of papers/ that can't be used: file, key, value, what was expected, the cure
├── UnknownName       a network or claim that doesn't exist, with the nearest that do
├── TargetError       code to be audited that can't be found, imported, built or run
├── LockError         a lock file that is missing or can't be read
└── CheckpointError   a checkpoint that is damaged or belongs to another run
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ReproError(Exception):
    """One clear line for the user: what, where, what was expected, the cure."""


class NotationError(ReproError):
    """A printed cell that can't be read."""


class TableError(ReproError):
    """A table or claim file that can't be used."""

    def __init__(self, file: str, key: str, value: object, expected: str, cure: str) -> None:
        shown = repr(value)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        super().__init__(f"{file}: {key}: {shown}: expected {expected}; {cure}")


class UnknownName(ReproError):
    """A name that isn't in the ledger, with the nearest ones that are."""

    def __init__(self, what: str, name: str, known: Iterable[str], near: Sequence[str] = ()) -> None:
        known = list(known)
        near = near or nearest(name, known)
        where = {"network": "see `repro list`", "claim": "see `repro list claims`"}.get(what, f"there is {', '.join(known)}")
        hint = f"did you mean {', '.join(near)}?" if near else where
        super().__init__(f"unknown {what} {name if len(name) <= 80 else name[:77] + '...'!r}; {hint}")


class TargetError(ReproError):
    """Code to be audited that can't be found, imported, built or run: file, line, what, the cure."""


class LockError(ReproError):
    """A lock file that is missing or can't be read."""


class CheckpointError(ReproError):
    """A checkpoint that is damaged or belongs to another run."""


def file_failure(error: OSError, unnamed: str) -> str:
    """One line for a file that can't be read or written; ``unnamed`` stands where the error names none."""
    return f"{error.filename or unnamed}: {error.strerror}; free space, correct the permissions or give another path, then run it again"


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Up to ``n`` known names that look like ``name``, best first; upper and lower case are the same."""
    spelled = {word.lower(): word for word in known}
    return [spelled[word] for word in difflib.get_close_matches(name[:80].lower(), spelled, n=n, cutoff=0.5)]
