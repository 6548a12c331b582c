"""A file of steps -> a Jupyter notebook in one language, the same bytes each time, without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from repro.lectures.course import Words
from repro.tables.reading import read_toml
from repro.tables.schema import Entry, Text

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")
HERE = Path(__file__).parent

#: Colab gives a machine with a GPU to a notebook that says so; Jupyter takes no notice of it.
_METADATA = {
    "accelerator": "GPU",
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class Step(Entry):
    """A text, and the code that follows it, if any. ``name`` is the id of the text's cell, and with "-code" that of the code's."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=50)]
    text: Words
    code: Text | None = None


class Steps(Entry):
    """The whole file."""

    steps: tuple[Step, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _own_names(self) -> Steps:
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError("a name of its own for each step")
        return self


def notebook_file(stem: str, language: Language) -> str:
    """The name of a notebook's file."""
    return f"{stem}.{language}.ipynb"


def write_notebook(source: Path, language: Language) -> str:
    """The notebook of a file of steps as JSON, nbformat 4.5, byte for byte as Jupyter saves it. Raises TableError."""
    cells = []
    for step in read_toml(source, Steps).steps:
        cells.append(_cell("markdown", step.name, getattr(step.text, language)))
        if step.code is not None:
            cells.append(_cell("code", f"{step.name}-code", step.code) | {"execution_count": None, "outputs": []})
    notebook = {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def all_notebooks() -> dict[str, str]:
    """Every notebook by the name of its file in this folder. Raises TableError."""
    sources = sorted(HERE.glob("*.toml"))
    return {notebook_file(source.stem, language): write_notebook(source, language) for source in sources for language in LANGUAGES}


def _cell(kind: str, id: str, text: str) -> dict[str, Any]:
    return {"cell_type": kind, "id": id, "metadata": {}, "source": text.strip("\n").splitlines(keepends=True)}
