"""The shape of a file in papers/: which keys there are and what each holds.

Nothing here knows a network; it only says what may be written. Unknown keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Positive = Annotated[int, Field(ge=1, le=100_000)]
NotNegative = Annotated[int, Field(ge=0, le=1_000)]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=100)]
RowName = Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$", max_length=100)]
ClaimId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*$", max_length=500)]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")]
BitmapRow = Annotated[str, Field(pattern=r"^[#.]{7}$")]
InputSize = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}(x[1-9][0-9]{0,4}){2}$")]


class Entry(BaseModel):
    """A table of TOML: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class PaperEntry(Entry):
    """Where the tables were printed."""

    key: Text
    title: Text
    authors: Text
    year: Annotated[int, Field(ge=1900, le=2100)]
    source: Text


class RowEntry(Entry):
    """A row of a printed table: one cell for all columns, or one for each."""

    name: RowName
    cell: Text | None = None
    cells: tuple[Text, ...] | None = Field(default=None, strict=False, min_length=1)
    output: Size | None = None
    padding: NotNegative | None = None

    @model_validator(mode="after")
    def _one_of(self) -> RowEntry:
        if (self.cell is None) == (self.cells is None):
            raise ValueError("either 'cell' (all columns) or 'cells' (one for each column)")
        return self


class MaxPoolRule(Entry):
    """The window where the cell only says maxpool."""

    kernel: Positive
    stride: Positive


class DropoutRule(Entry):
    """Which fully connected layers have dropout, and on which side of them."""

    p: Annotated[float, Field(gt=0, lt=1)]
    layers: tuple[Text, ...] = Field(strict=False)
    place: Literal["before", "after"]


class LrnRule(Entry):
    """``b = a / (k + alpha * sum of squares over n maps) ^ beta``: alpha as printed, not divided by n."""

    n: Positive
    k: float
    alpha: float
    beta: float


class BatchNormRule(Entry):
    """Constants of batch normalisation."""

    eps: float
    momentum: float


class TanhRule(Entry):
    """``A tanh(S a)``."""

    A: float
    S: float


class Rules(Entry):
    """What the paper says once in its text for all rows of a table."""

    conv_bias: bool
    conv_then: tuple[Literal["batchnorm", "relu", "tanh"], ...] = Field(strict=False)
    padding: Literal["same", "none"]
    fc_then: tuple[Literal["relu", "tanh"], ...] = Field(default=(), strict=False)
    pool_padding: NotNegative = 0
    maxpool: MaxPoolRule | None = None
    dropout: DropoutRule | None = None
    lrn: LrnRule | None = None
    batchnorm: BatchNormRule | None = None
    tanh: TanhRule | None = None


class TableEntry(Entry):
    """A printed table of layers, its rows in the printed order."""

    where: Text
    input: InputSize
    rows: tuple[RowEntry, ...] = Field(strict=False, min_length=1)
    rules: Rules
    columns: tuple[Text, ...] = Field(default=(), strict=False)
    downsampling: tuple[Text, ...] = Field(default=(), strict=False)
    partial: tuple[Annotated[str, Field(pattern=r"^[X.]+$")], ...] = Field(default=(), strict=False)

    @field_validator("rules")
    @classmethod
    def _dropout_is_of_rows(cls, rules: Rules, others: ValidationInfo) -> Rules:
        names = [row.name for row in others.data.get("rows", ())]
        for name in rules.dropout.layers if rules.dropout else ():
            if name not in names:
                raise ValueError(f"names of rows in dropout.layers, not {name!r}")
        return rules

    @field_validator("columns")
    @classmethod
    def _columns_differ(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(columns)) < len(columns):
            raise ValueError("a different name for each column")
        return columns

    @field_validator("downsampling")
    @classmethod
    def _downsampling_is_of_rows(cls, names: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        rows = [row.name for row in others.data.get("rows", ())]
        for name in names:
            if re.sub("_[0-9]+$", "_x", name) not in rows:
                raise ValueError(f"names of blocks, such as conv3_1 in row conv3_x, not {name!r}")
        return names

    @field_validator("partial")
    @classmethod
    def _partial_is_a_grid(cls, rows: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(map(len, rows))) > 1:
            raise ValueError("rows of equal length")
        return rows


class NetworkEntry(Entry):
    """One network: a column of a table, and what the text adds to it. ``also`` is what public code calls it, ``code_of`` the printed
    network of which public code makes this one, which no paper prints.
    """

    table: Text
    column: Text | None = None
    n: Annotated[int, Field(ge=1, le=1_000)] | None = None
    shortcut: Literal["none", "A", "B", "C"] = "none"
    stride_on: Literal["first", "3x3"] = "first"
    also: tuple[Name, ...] = Field(default=(), strict=False)
    code_of: Name | None = None


class ReadingEntry(Entry):
    """What the paper doesn't print, and how it is read here."""

    networks: tuple[Name, ...] = Field(strict=False, min_length=1)
    about: Text
    text: Text


class TrainingEntry(Entry):
    """What a training run of the paper takes; ``images_seen`` is an arithmetic expression."""

    data: Text
    images_seen: Text
    where: Text


class _ClaimFields(Entry):
    """What claims and grids share."""

    where: Text
    scale: Literal["", "thousand", "million", "billion"] = ""
    exact: Text | None = None
    training: Text | None = None


class ClaimEntry(_ClaimFields):
    """One printed statement."""

    id: ClaimId | None = None
    network: Name
    layer: Text | None = None
    quantity: Text
    printed: Text
    measure: Text | None = None
    note: Text | None = None


class GridRow(Entry):
    """A row of a printed table of numbers."""

    network: Name
    layer: Text | None = None
    label: Text | None = None
    nets: Positive = 1
    cells: tuple[Text, ...] = Field(strict=False)


class GridEntry(_ClaimFields):
    """A printed table of numbers: a column for each quantity; a cell ``-`` is empty in print."""

    id: Text | None = None
    quantities: tuple[Text, ...] = Field(strict=False, min_length=1)
    rows: tuple[GridRow, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _one_cell_a_quantity(self) -> GridEntry:
        for number, row in enumerate(self.rows):
            if len(row.cells) != len(self.quantities):
                raise ValueError(f"{len(self.quantities)} cells in rows[{number}], one for each quantity")
        return self


class DeviationEntry(Entry):
    """A printed number that arithmetic doesn't reproduce, and why. ``{...}`` in the reason is measured."""

    claim: Text
    reason: Text


class PaperFile(Entry):
    """A file of papers/."""

    paper: PaperEntry
    tables: tuple[TableEntry, ...] = Field(default=(), strict=False)
    networks: dict[Name, NetworkEntry] = {}
    readings: tuple[ReadingEntry, ...] = Field(default=(), strict=False)
    codes: dict[str, Annotated[tuple[BitmapRow, ...], Field(strict=False, min_length=12, max_length=12)]] = {}
    training: dict[str, TrainingEntry] = {}
    claims: tuple[ClaimEntry, ...] = Field(default=(), strict=False)
    grids: tuple[GridEntry, ...] = Field(default=(), strict=False)
    deviations: tuple[DeviationEntry, ...] = Field(default=(), strict=False)

    @field_validator("tables")
    @classmethod
    def _tables_differ(cls, tables: tuple[TableEntry, ...]) -> tuple[TableEntry, ...]:
        _refuse_twice("where", [table.where for table in tables])
        return tables

    @field_validator("deviations")
    @classmethod
    def _deviations_differ(cls, deviations: tuple[DeviationEntry, ...]) -> tuple[DeviationEntry, ...]:
        _refuse_twice("claim", [deviation.claim for deviation in deviations])
        return deviations


def _refuse_twice(key: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"each {key!r} once; {name!r} stands twice")
