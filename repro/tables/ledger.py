"""All papers together: networks by name, claims by id."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.errors import TableError, UnknownName, nearest
from repro.layers import Layer, Shape
from repro.tables.expanding import RowError, cell_of, expand
from repro.tables.printed import Interval, interval
from repro.tables.reading import read_paper_file
from repro.tables.schema import (
    ClaimEntry,
    DeviationEntry,
    GridEntry,
    NetworkEntry,
    PaperEntry,
    PaperFile,
    ReadingEntry,
    TableEntry,
    TrainingEntry,
)

#: 7x12, L98 section II.B
CODE_PIXELS = 84
PAPERS = Path(__file__).resolve().parent.parent / "papers"

#: The course's statements stand beside the papers and are no paper; ``repro.lectures`` reads them.
COURSE = "lecture.toml"


@dataclass(frozen=True, slots=True)
class Paper:
    """One file of papers/."""

    file: str
    entry: PaperEntry
    tables: Mapping[str, TableEntry]
    codes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Network:
    """One architecture as its paper prints it, with its layers in the order in which they run.

    ``rows[i]`` is the number of the printed row that ``layers[i]`` comes from.
    """

    name: str
    paper: Paper
    entry: NetworkEntry
    table: TableEntry
    layers: tuple[Layer, ...]
    rows: tuple[int, ...]
    readings: tuple[ReadingEntry, ...] = ()

    @property
    def input(self) -> Shape:
        """``(channels, height, width)``."""
        return tuple(int(side) for side in self.table.input.split("x"))

    @functools.cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(layer.params for layer in self.layers)

    @functools.cached_property
    def macs(self) -> int:
        """Multiply-accumulates for one image, the RBF's included."""
        return sum(layer.macs for layer in self.layers)

    @property
    def fixed_params(self) -> int:
        """Values that the paper sets by hand and doesn't train: LeNet-5's RBF codes."""
        return sum(layer.macs for layer in self.layers if layer.kind == "rbf")

    def layers_of(self, row: str) -> list[Layer]:
        """The layers of a printed row, by its name. Raises UnknownName."""
        names = [entry.name for entry in self.table.rows]
        if row not in names:
            raise UnknownName("row", row, filter(None, names))
        return [layer for layer, number in zip(self.layers, self.rows, strict=True) if names[number] == row]

    def cell(self, row: int) -> str:
        """The printed cell of the row with this number."""
        return cell_of(self.table, self.entry, self.table.rows[row])

    def place(self, row: int) -> str:
        """Where the row with this number is printed: ``H15 Table 1, row conv3_x, column 50-layer: "..."``."""
        name, column = self.table.rows[row].name, self.entry.column
        parts = [f"{self.paper.entry.key} {self.table.where}"]
        parts += [f"row {name}"] if name else [f"row {row + 1}"]
        parts += [f"column {column}"] if column else []
        return f'{", ".join(parts)}: "{self.cell(row)}"'


@dataclass(frozen=True, slots=True)
class Claim:
    """One printed statement with its place."""

    id: str
    network: str
    quantity: str
    printed: str
    where: str
    interval: Interval
    layer: str | None = None
    scale: str = ""
    exact: str | None = None
    measure: str | None = None
    note: str | None = None
    training: TrainingEntry | None = None
    nets: int = 1
    deviates: str | None = None
    file: str = ""

    @property
    def expression(self) -> str:
        """What is measured, in the language of :mod:`repro.claims`."""
        arguments = ", ".join(repr(part) for part in (self.network, self.layer) if part)
        return self.measure or f"{self.quantity}({arguments})"


class Ledger:
    """Every network and every claim of the papers."""

    def __init__(self, files: Mapping[str, PaperFile]) -> None:
        self.papers: dict[str, Paper] = {}
        self._entries: dict[str, tuple[str, NetworkEntry]] = {}
        self._expanded: dict[str, Network] = {}
        self._readings: list[ReadingEntry] = []
        for file, content in files.items():
            tables = {table.where: table for table in content.tables}
            self.papers[file] = Paper(file, content.paper, tables, content.codes)
            self._readings += content.readings
            for name, entry in content.networks.items():
                if name in self._entries:
                    raise TableError(file, f"networks.{name}", name, f"a new name ({self._entries[name][0]} has it)", "rename one")
                _check_entry(file, name, entry, tables)
                self._entries[name] = (file, entry)
        self.claims: tuple[Claim, ...] = tuple(_claims(files, self._entries))
        _check_readings(files, self._entries)
        for name, (file, entry) in self._entries.items():
            if entry.code_of is not None:
                _check_network(file, f"networks.{name}.code_of", entry.code_of, self._entries)

    @property
    def networks(self) -> tuple[str, ...]:
        """The names, in the order of the files."""
        return tuple(self._entries)

    def network(self, name: str) -> Network:
        """A network with its layers. Raises UnknownName, or TableError where its rows don't fit."""
        if name not in self._expanded:
            self._expanded[name] = self.variant(name)
        return self._expanded[name]

    def variant(self, name: str, **changes: object) -> Network:
        """The network with some of its entry changed, for example ``stride_on="3x3"``."""
        if name not in self._entries:
            raise self._unknown_network(name)
        file, entry = self._entries[name]
        entry = entry.model_copy(update=changes) if changes else entry
        paper = self.papers[file]
        table = paper.tables[entry.table]
        try:
            built = expand(table, entry)
        except RowError as error:
            where = f"tables[{list(paper.tables).index(entry.table)}].rows[{error.row}]"
            value = cell_of(table, entry, table.rows[error.row])
            raise TableError(file, where, value, f"a row that fits those above it for {name}: {error}", "correct the row") from None
        _check_codes(file, name, paper.codes, built.layers)
        readings = tuple(reading for reading in self._readings if name in reading.networks)
        return Network(name, paper, entry, table, tuple(built.layers), tuple(built.rows), readings)

    def _unknown_network(self, name: str) -> UnknownName:
        """The networks that public code calls so, or else those whose names look like it."""
        called = [own for own, (_, entry) in self._entries.items() if name.lower() in entry.also]
        return UnknownName("network", name, self._entries, called)

    def claim(self, id: str) -> Claim:
        """The claim with this id. Raises UnknownName."""
        for claim in self.claims:
            if claim.id == id:
                return claim
        raise UnknownName("claim", id, [claim.id for claim in self.claims])


def load_ledger(folder: Path = PAPERS) -> Ledger:
    """Reads every paper of ``papers/`` (by default the project's own). Raises TableError."""
    order = {name: number for number, name in enumerate(("lenet5.toml", "alexnet.toml", "vgg.toml", "resnet.toml"))}
    paths = sorted(
        (path for path in folder.glob("*.toml") if path.name != COURSE), key=lambda path: (order.get(path.name, len(order)), path.name)
    )
    if not paths:
        raise TableError(str(folder), "folder", "", "files *.toml", "reinstall, or give the folder of the papers")
    return Ledger({path.name: read_paper_file(path) for path in paths})


def _check_entry(file: str, name: str, entry: NetworkEntry, tables: Mapping[str, TableEntry]) -> None:
    """The table and the column of a network exist, and each row has a cell for each column."""
    key = f"networks.{name}"
    if entry.table not in tables:
        known = ", ".join(map(repr, tables)) or "none"
        raise TableError(file, f"{key}.table", entry.table, f"one of {known}", "correct the name")
    table = tables[entry.table]
    if (entry.column or "") not in (table.columns or ("",)):
        known = f"one of {', '.join(map(repr, table.columns))}" if table.columns else "no column, since the table has none"
        raise TableError(file, f"{key}.column", entry.column, known, "correct the name" if table.columns else "remove the key")
    for number, row in enumerate(table.rows):
        if row.cells is not None and len(row.cells) != len(table.columns):
            where = f"tables[{list(tables).index(entry.table)}].rows[{number}].cells"
            raise TableError(file, where, list(row.cells), f"{len(table.columns)} cells, one for each column", "add or remove cells")


def _check_codes(file: str, name: str, codes: Mapping[str, Sequence[str]], layers: Sequence[Layer]) -> None:
    """An RBF layer has a drawing for each unit, and an input for each pixel."""
    for layer in layers:
        if layer.kind == "rbf" and (layer.output != (len(codes),) or layer.macs != CODE_PIXELS * len(codes)):
            inputs, units = layer.macs // layer.output[0], layer.output[0]
            expected = f"{units} drawings of {inputs} pixels for {layer.name} of {name}; a drawing has {CODE_PIXELS}"
            raise TableError(file, "codes", f"{len(codes)} drawings", expected, "correct the codes or the row")


def _check_readings(files: Mapping[str, PaperFile], known: Mapping[str, object]) -> None:
    for file, content in files.items():
        for number, reading in enumerate(content.readings):
            for name in reading.networks:
                _check_network(file, f"readings[{number}].networks", name, known)


def _check_network(file: str, key: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        near = nearest(name, known, n=1)
        raise TableError(file, key, name, "the name of a network", f"did you mean {near[0]!r}?" if near else "see `repro list`")


def _claims(files: Mapping[str, PaperFile], networks: Mapping[str, object]) -> Iterator[Claim]:
    """Claims and the cells of grids, each with its interval; ids are unique, deviations point at claims."""
    seen: dict[str, str] = {}
    for file, content in files.items():
        reasons = {entry.claim: entry for entry in content.deviations}
        used: set[str] = set()
        for key, entry, nets in _claim_entries(content):
            id = entry.id or claim_id(entry.network, entry.layer, entry.quantity)
            _check_network(file, f"{key}.network", entry.network, networks)
            if id in seen:
                raise TableError(file, key, id, f"a claim id of its own ({seen[id]} has it)", "give the claim another id")
            seen[id] = f"{file} {key}"
            used.add(id)
            yield _claim(file, key, id, entry, nets, content.training, reasons.get(id))
        for number, deviation in enumerate(content.deviations):
            if deviation.claim not in used:
                near = nearest(deviation.claim, used, n=1)
                cure = f"did you mean {near[0]!r}?" if near else "see `repro list claims`"
                raise TableError(file, f"deviations[{number}].claim", deviation.claim, "the id of a claim of this file", cure)


def _claim(
    file: str, key: str, id: str, entry: ClaimEntry, nets: int, training: Mapping[str, TrainingEntry], deviation: DeviationEntry | None
) -> Claim:
    if entry.training is not None and entry.training not in training:
        known = ", ".join(map(repr, training)) or "none"
        raise TableError(file, f"{key}.training", entry.training, f"one of {known}", "correct the name")
    if entry.training is not None and deviation is not None:
        raise TableError(
            file, f"{key}.training", entry.training, "no deviation for a claim that nobody has measured", "remove the deviation"
        )
    try:
        values = interval(entry.printed, scale=entry.scale, exact=entry.exact is not None)
    except ValueError as error:
        raise TableError(file, f"{key}.printed", entry.printed, str(error), "write it as printed") from None
    return Claim(
        id, entry.network, entry.quantity, entry.printed, entry.where, values, entry.layer, entry.scale, entry.exact,
        entry.measure, entry.note, training[entry.training] if entry.training else None, nets,
        deviation.reason if deviation else None, file,
    )  # fmt: skip


def _claim_entries(content: PaperFile) -> Iterator[tuple[str, ClaimEntry, int]]:
    """(key, claim, number of nets) for each claim and each filled cell of a grid."""
    for number, claim in enumerate(content.claims):
        yield f"claims[{number}]", claim, 1
    for number, grid in enumerate(content.grids):
        yield from _grid_claims(f"grids[{number}]", grid)


def _grid_claims(key: str, grid: GridEntry) -> Iterator[tuple[str, ClaimEntry, int]]:
    for number, row in enumerate(grid.rows):
        for quantity, printed in zip(grid.quantities, row.cells, strict=True):
            if printed == "-":
                continue
            suffix = [grid.id, row.label] if grid.id else []
            id = claim_id(row.network, row.layer, quantity, *suffix)
            where = f"{grid.where}, {row.label}" if row.label else grid.where
            yield (
                f"{key}.rows[{number}]",
                ClaimEntry(
                    id=id, network=row.network, layer=row.layer, quantity=quantity, printed=printed, where=where,
                    scale=grid.scale, exact=grid.exact, training=grid.training,
                ),
                row.nets,
            )  # fmt: skip


def claim_id(*parts: str | None) -> str:
    """Parts as one id that needs no quoting in a shell: ``vgg-d/top-5-val-error/table-4/train-256``."""
    return "/".join(re.sub(r"[^a-z0-9._]+", "-", part.lower().replace("*", "-star")).strip("-") for part in parts if part)
