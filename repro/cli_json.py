"""What all commands share: the option ``--json``, and the document that it prints."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


def print_json(value: Any) -> None:
    """One document, nothing else."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
