"""A TOML file -> a validated model of its keys, or one TableError that says what is wrong where."""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from repro.errors import TableError, nearest
from repro.tables.schema import PaperFile

Model = TypeVar("Model", bound=BaseModel)


def read_paper_file(path: Path) -> PaperFile:
    """Reads and validates one paper of papers/."""
    return read_toml(path, PaperFile)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Reads and validates a file of which ``model`` says the keys. Raises TableError."""
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise TableError(path.name, "file", str(path), "a readable file", f"check it: {error.strerror}") from None
    except UnicodeDecodeError as error:
        bad = error.object[error.start : error.start + 1]
        raise TableError(path.name, f"byte {error.start}", bad, "UTF-8", "save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:  # ValueError: an integer of thousands of digits
        raise TableError(path.name, "syntax", str(error), "valid TOML", "correct the line named") from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _table_error(path.name, model, error) from None


def _table_error(file: str, model: type[BaseModel], error: ValidationError) -> TableError:
    """One of pydantic's complaints in our words: an unknown key before the first of the others, which it may explain."""
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    location, kind = first["loc"], first["type"]
    key = _dotted(location)
    if kind == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        near = nearest(str(location[-1]), known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else "remove it"
        return TableError(file, key, location[-1], f"one of the keys {', '.join(sorted(known))}", cure)
    if kind == "missing":
        return TableError(file, key, None, "a value", f"add the key {str(location[-1])!r}")
    message = re.sub(r"^(Value error, |(Input|String|Tuple) should (be |have )?)", "", first["msg"])
    message = re.sub("^match pattern", "text of the pattern", message)
    return TableError(file, key, _printable(first["input"]), message, "correct the value")


def _printable(value: Any) -> Any:
    """The value, or its type where Python refuses to print it (an integer of thousands of digits)."""
    try:
        repr(value)
    except ValueError:
        return type(value).__name__
    return value


def _dotted(location: Iterable[int | str]) -> str:
    """``tables[0].rows[2].cell``"""
    text = ""
    for part in location:
        shown = str(part) if str(part).isprintable() and len(str(part)) <= 100 else f"{str(part)[:100]!r}"
        text += f"[{part}]" if isinstance(part, int) else f".{shown}" if text else shown
    return text or "file"


def _keys_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """The keys that the schema knows at this place."""
    for part in location:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is not None and (inner := _model_in(field.annotation)) is not None:
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as ``tuple[RowEntry, ...]`` or ``dict[str, NetworkEntry]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model_in(part))), None)
