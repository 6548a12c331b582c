"""networks/<name>.md: one network, its claims, and the printed table beside the layers that it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reports import wording
from reports.judged import Judged, by_row
from reports.markdown import code, document, link, remake, table, text
from repro.claims import Judgement
from repro.layers import Layer, size
from repro.tables import Network

#: From a page of a network to reports/.
UP = "../"

PLUS = "\N{NO-BREAK SPACE}+\N{NO-BREAK SPACE}"

#: Layers that keep the shape and have no MACs: they stand on the line of the layer before them.
FOLDED = ("batchnorm", "relu", "tanh", "dropout")


def write_network(judged: Judged, network: Network) -> str:
    """The page of one network."""
    return document(
        network.name,
        _lead(network),
        table(*_counts(network)),
        remake(f"repro show {network.name}"),
        *_counted_claims(judged, network),
        *_readings(network),
        "## The printed table beside the built layers",
        _legend(network),
        _layers(network),
        remake(f"repro show {network.name}"),
        *_trained_claims(judged, network),
        link("All networks", f"{UP}README.md#networks"),
    )


def _lead(network: Network) -> str:
    paper, entry = network.paper.entry, network.entry
    also = f" Public code calls it {wording.joined(list(map(code, entry.also)))}." if entry.also else ""
    facts = [f"the n of the table is {entry.n}"] if entry.n else []
    facts += [f"shortcuts are option {entry.shortcut}" if entry.shortcut != "none" else "no shortcuts"] if _has_blocks(network) else []
    facts += ["the stride of 2 is on the 3x3 convolution of a bottleneck"] if entry.stride_on == "3x3" else []
    facts += [f"input {size(network.input)}"]
    place = wording.printed_in(network)
    cited = f"{text(paper.authors)}: *{text(paper.title)}*, {paper.year} ({text(paper.source)})."
    where = f"{place}, in {cited}" if place.startswith(paper.key) else f"Taken from {place}. The paper behind it: {cited}"
    return f"{where}{also}\n\nIn this network: {', '.join(facts)}."


def _has_blocks(network: Network) -> bool:
    return any("[" in network.cell(number) for number in range(len(network.table.rows)))


def _counts(network: Network) -> tuple[list[str], list[list[str]]]:
    counts = {"parameters >": network.params, "fixed, not trained >": network.fixed_params}
    counts |= {"MACs >": network.macs, "FLOPs (2 MACs) >": 2 * network.macs, "layers that run >": len(network.layers)}
    shown = {head: count for head, count in counts.items() if count or not head.startswith("fixed")}
    return list(shown), [[f"{count:,d}" for count in shown.values()]]


def _readings(network: Network) -> Iterator[str]:
    if network.readings:
        yield "## What the paper leaves open, and how it is read here"
        yield "\n".join(f"- **{text(reading.about)}**: {text(reading.text)}" for reading in network.readings)


# ---------------------------------------------------------------- claims


def _counted_claims(judged: Judged, network: Network) -> Iterator[str]:
    claims = [judgement for judgement in judged.about(network) if judgement.claim.training is None]
    yield "## Printed numbers"
    if not claims:
        yield "No paper prints a count for this network."
        return
    yield table(["claim", "printed", "counted >", "verdict", "where"], (_claim(judged, judgement) for judgement in claims))
    yield remake(f"repro check {network.name}")
    yield "\n".join(f"- {code(judgement.claim.id)}: {text(judgement.reason)}" for judgement in claims if judgement.reason)


def _claim(judged: Judged, judgement: Judgement) -> list[str]:
    claim = judgement.claim
    place = wording.place(judged.paper(judgement), claim.where)
    return [code(claim.id), wording.printed_cell(claim), wording.measured(judgement), wording.verdict(judgement, UP), place]


def _trained_claims(judged: Judged, network: Network) -> Iterator[str]:
    claims = [judgement for judgement in judged.about(network) if judgement.claim.training is not None]
    if claims:
        yield "## Printed numbers that need training"
        yield f"Error rates in percent, {link('not attempted', f'{UP}training.md')}."
    for reason in dict.fromkeys(judgement.reason or "" for judgement in claims):
        group = [judgement for judgement in claims if (judgement.reason or "") == reason]
        rows = ([code(j.claim.id), code(j.claim.printed), wording.place(judged.paper(j), j.claim.where)] for j in group)
        yield f"{text(reason[:1].upper() + reason[1:])}:"
        yield table(["claim", "printed >", "where"], rows)
        yield remake(f"repro explain {group[0].claim.id}")


# ---------------------------------------------------------------- layers

Column = tuple[str, Callable[[Layer], str]]


def _side(values: tuple[int, ...] | None) -> str:
    """A stride or padding, once where both sides are equal."""
    return "" if not values else str(values[0]) if len(set(values)) == 1 else size(values)


def _window(layer: Layer) -> str:
    """``3x3/2/1``; a shortcut of option A has a stride alone, and a kind without padding leaves it out."""
    parts = [size(layer.kernel or ()), _side(layer.stride), _side(layer.padding)]
    return "/".join(filter(None, parts)) if layer.kernel else f"stride {parts[1]}" if layer.stride else ""


def _columns(network: Network) -> list[Column]:
    """Groups have a column where a layer has several."""
    columns: list[Column] = [("output >", lambda layer: size(layer.output)), ("kernel / stride / padding", _window)]
    if any((layer.groups or 1) > 1 for layer in network.layers):
        columns.append(("groups >", lambda layer: str(layer.groups or "")))
    return columns


@dataclass(frozen=True)
class Unit:
    """Layers that belong together, a building block for example; units of one shape are shown once."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def is_block(self) -> bool:
        """Whether its layers are parts of something: their names have a point."""
        return "." in self.layers[0].name

    @property
    def shape(self) -> tuple[object, ...]:
        """Everything but names."""
        return tuple((y.kind, y.output, y.kernel, y.stride, y.padding, y.groups, y.bias, y.params, y.macs) for y in self.layers)


def _units(layers: list[Layer]) -> list[Unit]:
    """Layers of one block together, and what only follows a layer together with it."""
    units: list[Unit] = []
    for layer in layers:
        name, last = _unit(layer), units[-1] if units else None
        if last and (name == last.name or (layer.kind in FOLDED and layer.inputs == (last.layers[-1].name,))):
            units[-1] = Unit(last.name, (*last.layers, layer))
        else:
            units.append(Unit(name, (layer,)))
    return units


def _unit(layer: Layer) -> str:
    """The block that a layer is in (``conv2_1``), or in LeNet-5's C3 the chosen maps; else its own name."""
    if layer.kind == "select" or (layer.inputs and ".select" in layer.inputs[0] and layer.kind == "conv"):
        return layer.name if layer.kind == "select" else layer.inputs[0]
    stem, dot, _ = layer.name.partition(".")
    return stem if dot and layer.kind != "cat" else layer.name


def _legend(network: Network) -> str:
    folded = list(dict.fromkeys(layer.kind for layer in network.layers if layer.kind in FOLDED))
    parts = ["Rows and cells are the paper's, layers are what they give."]
    if folded:
        parts.append(f"What follows a layer and keeps its shape ({', '.join(folded)}) stands on its line.")
    if "batchnorm" in folded:
        parts.append("The parameters after a plus are those of batchnorm.")
    repeats = any("[" in network.cell(n) for n in range(len(network.table.rows))) or network.table.partial
    parts += ["Of equal blocks in a row, one is shown, with the sums of the others."] if repeats else []
    return " ".join(parts)


def _layers(network: Network) -> str:
    columns = _columns(network)
    rows: list[list[str]] = []
    for number, layers in by_row(network):
        head = _printed(network, number)
        for line in _lines(layers, columns):
            rows.append([head, *line])
            head = ""
    rows.append(["**all**", "", "", *("" for _ in columns), f"**{network.params:,d}**", f"**{network.macs:,d}**"])
    return table(["printed", "layer", "kind", *(head for head, _ in columns), "params >", "MACs >"], rows)


def _printed(network: Network, number: int) -> str:
    """The row's name and its cell, with a line for each layer, as papers print it."""
    name = network.table.rows[number].name
    return "<br>".join([*([f"**{text(name)}**"] if name else []), *map(code, network.cell(number).split("; "))])


def _lines(layers: list[Layer], columns: list[Column]) -> Iterator[list[str]]:
    """The lines of one printed row: each unit, then how often it comes again."""
    for _, group in itertools.groupby(_units(layers), lambda unit: unit.shape):
        units = list(group)
        shown = 1 if units[0].is_block else len(units)
        for unit in units[:shown]:
            yield from _unit_lines(unit, columns)
        if units[shown:]:
            yield _repeated(units[shown:], columns)


def _unit_lines(unit: Unit, columns: list[Column]) -> Iterator[list[str]]:
    position = 0
    while position < len(unit.layers):
        layer, *after = unit.layers[position:]
        line = [layer, *itertools.takewhile(lambda follower: follower.kind in FOLDED, after)]
        params = PLUS.join(_count(part.params) for part in line if part.params)
        kinds = ", ".join(part.kind for part in line)
        yield [code(layer.name), kinds, *(cell(layer) for _, cell in columns), params, _count(layer.macs)]
        position += len(line)


def _repeated(units: list[Unit], columns: list[Column]) -> list[str]:
    params, macs = (sum(getattr(layer, field) for unit in units for layer in unit.layers) for field in ("params", "macs"))
    names = code(units[0].name) if len(units) == 1 else f"{code(units[0].name)} to {code(units[-1].name)}"
    often = "the same again" if len(units) == 1 else f"the same again, {len(units):,d} times"
    return [names, often, *("" for _ in columns), _count(params), _count(macs)]


def _count(value: int) -> str:
    return f"{value:,d}" if value else ""
