"""A printed column and the text's rules -> the layers of a network, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from repro.counting import closed_form as cf
from repro.errors import NotationError
from repro.layers import Layer, size
from repro.notation import Block, Cell, Item, parse
from repro.tables.schema import NetworkEntry, RowEntry, Rules, TableEntry

INPUT = "input"

#: ResNet-1202 has 4,207; the limit keeps a typing error (x1000 in each row) from eating the memory.
MOST_LAYERS = 50_000


class RowError(ValueError):
    """A row that can't be built on the rows above it: its number in the table, and why."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row = row


@dataclass
class Expansion:
    """The layers so far and what is needed to add the next; ``rows[i]`` is the table row of ``layers[i]``."""

    table: TableEntry
    entry: NetworkEntry
    layers: list[Layer] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    row: int = 0
    names: set[str] = field(default_factory=lambda: {INPUT})

    def __post_init__(self) -> None:
        sizes = tuple(int(side) for side in self.table.input.split("x"))
        self.top = Layer(INPUT, INPUT, (), sizes)

    @property
    def rules(self) -> Rules:
        """The text's rules for this table."""
        return self.table.rules

    def put(self, layer: Layer) -> Layer:
        """Adds a layer and makes it the top. A second layer of the same name is refused: weights go by names."""
        if layer.name in self.names:
            raise cf.ShapeError(f"there is a layer {layer.name!r} already; give the row another name, or one that ends in _x")
        if len(self.layers) == MOST_LAYERS:
            raise cf.ShapeError(f"more than {MOST_LAYERS} layers")
        self.names.add(layer.name)
        self.layers.append(layer)
        self.rows.append(self.row)
        self.top = layer
        return layer


def expand(table: TableEntry, entry: NetworkEntry) -> Expansion:
    """All layers of a network. Raises RowError where a row doesn't fit."""
    net = Expansion(table, entry)
    counters: dict[str, int] = {}
    for net.row, row in enumerate(table.rows):
        try:
            _expand_row(net, row, parse(cell_of(table, entry, row)), counters)
            found = size(net.top.output[1:]) or "1x1"
            if row.output and row.output != found:
                raise cf.ShapeError(f"the paper prints an output of {row.output}, the rows give {found}")
        except (cf.ShapeError, NotationError) as error:
            raise RowError(net.row, str(error)) from None
    return net


def cell_of(table: TableEntry, entry: NetworkEntry, row: RowEntry) -> str:
    """The printed cell of this row in the network's column."""
    if row.cells is None:
        return row.cell or ""
    return row.cells[table.columns.index(entry.column or "")]


def _expand_row(net: Expansion, row: RowEntry, cell: Cell, counters: dict[str, int]) -> None:
    """Names follow the paper: row ``conv3_x`` holds conv3_1, conv3_2, ...; any other row names its one layer."""
    stem, numbered = row.name.removesuffix("_x"), row.name.endswith("_x")
    built = [item for item in cell if isinstance(item, Block) or item.kind != "softmax"]
    for item in _repeated(built, net.entry):
        if isinstance(item, Block) or item.kind in ("conv", "partial conv"):
            if numbered:
                counters[stem] = counters.get(stem, 0) + 1
            name = f"{stem}_{counters[stem]}" if numbered else row.name
        else:
            name = f"{stem}_{item.kind}" if numbered else row.name if row.name and len(built) == 1 else item.kind
        if isinstance(item, Block):
            _block(net, name, item)
        else:
            _BUILDERS[item.kind](net, name, item, row)


def _repeated(items: list[Item | Block], entry: NetworkEntry) -> Iterator[Item | Block]:
    for item in items:
        if isinstance(item, Item):
            yield item
        elif item.times == "n" and entry.n is None:
            raise cf.ShapeError(f"block {item} stands n times, but the network gives no n")
        else:
            yield from [item] * (entry.n if item.times == "n" else int(item.times))  # type: ignore[operator]


def _conv(net: Expansion, name: str, item: Item, row: RowEntry | None, stride: int = 1) -> Layer:
    """The convolution alone. A kernel printed less deep than the maps below sees one group of them."""
    kernel, channels = item["kernel"], net.top.output[0]
    depth = item.get("depth") or channels
    if channels % depth:
        raise cf.ShapeError(f"{name}: kernels {depth} deep on {channels} maps")
    padding = row.padding if row and row.padding is not None else kernel // 2 if net.rules.padding == "same" else 0
    return net.put(
        cf.conv(name, net.top, item["filters"], kernel, stride=item.get("stride") or stride, padding=padding,
                groups=channels // depth, bias=net.rules.conv_bias)
    )  # fmt: skip


def _conv_row(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    _conv(net, name, item, row)
    _check_side(net.top, item)
    _then(net, name, net.rules.conv_then)


def _partial_conv(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    """LeNet-5's C3: each map of it is a convolution over the maps of S2 that Table I crosses."""
    source, bias = net.top, net.rules.conv_bias
    columns = list(zip(*net.table.partial, strict=True)) if net.table.partial else []
    if len(columns) != item["filters"] or len(net.table.partial) != source.output[0]:
        raise cf.ShapeError(f"{name}: 'partial' must have {source.output[0]} rows and {item['filters']} columns")
    parts = []
    for number, column in enumerate(columns):
        chosen = net.put(cf.select(f"{name}.select{number}", source, [i for i, mark in enumerate(column) if mark == "X"]))
        parts.append(net.put(cf.conv(f"{name}.conv{number}", chosen, 1, item["kernel"], bias=bias)))
    net.put(cf.cat(f"{name}.cat", parts))
    _check_side(net.top, item)
    _then(net, name, net.rules.conv_then)


def _subsampling(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    if item["filters"] != net.top.output[0]:
        raise cf.ShapeError(f"{name}: subsampling prints {item['filters']} maps on {net.top.output[0]}")
    net.put(cf.subsampling(name, net.top, item["kernel"]))
    _check_side(net.top, item)
    _then(net, name, net.rules.conv_then)


def _maxpool(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    rule = net.rules.maxpool
    if item.get("kernel") is None and rule is None:
        raise cf.ShapeError(f"{name}: neither the cell nor rules.maxpool gives the size of the pooling window")
    kernel, stride = (item["kernel"], item["stride"]) if item.get("kernel") else (rule.kernel, rule.stride)  # type: ignore[union-attr]
    net.put(cf.maxpool(name, net.top, kernel, stride, net.rules.pool_padding))


def _avgpool(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    net.put(cf.avgpool(name, net.top))


def _fc(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    """A fully connected layer; the last one of the table is the score and has nothing behind it."""
    _flatten(net)
    below = [cell_of(net.table, net.entry, later) for later in net.table.rows[net.row + 1 :]]
    last = all(cell in ("softmax", "soft-max") for cell in below)
    dropout = net.rules.dropout
    drops = dropout is not None and name in dropout.layers
    if dropout and drops and dropout.place == "before":
        net.put(cf.pointwise(f"{name}_dropout", "dropout", net.top, {"p": dropout.p}))
    net.put(cf.linear(name, net.top, item["units"]))
    if not last:
        _then(net, name, net.rules.fc_then)
    if dropout and drops and dropout.place == "after":
        net.put(cf.pointwise(f"{name}_dropout", "dropout", net.top, {"p": dropout.p}))


def _rbf(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    _flatten(net)
    net.put(cf.rbf(name, net.top, item["units"]))


def _lrn(net: Expansion, name: str, item: Item, row: RowEntry) -> None:
    net.put(cf.pointwise(name, "lrn", net.top, _constants(net, "lrn")))


_BUILDERS = {
    "conv": _conv_row,
    "partial conv": _partial_conv,
    "subsampling": _subsampling,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "fc": _fc,
    "rbf": _rbf,
    "lrn": _lrn,
}


def _block(net: Expansion, name: str, block: Block) -> None:
    """A building block (H15 Figure 5): convolutions, the shortcut around them, their sum, ReLU."""
    source, residual = net.top, net.entry.shortcut != "none"
    downsampling = name in net.table.downsampling
    strided = _strided(block, net.entry) if downsampling else None
    for number, item in enumerate(block.items):
        if item.kind != "conv":
            raise cf.ShapeError(f"{name}: a block holds convolutions, not {item}")
        conv = f"{name}.conv{number + 1}"
        _conv(net, conv, item, None, stride=2 if number == strided else 1)
        last = number == len(block.items) - 1
        _then(net, conv, tuple(kind for kind in net.rules.conv_then if not (last and residual and kind == "relu")))
    if residual:
        body = net.top
        net.put(cf.add(f"{name}.add", body, _shortcut(net, name, source, body, 2 if downsampling else 1)))
        _then(net, f"{name}.add", ("relu",))


def _strided(block: Block, entry: NetworkEntry) -> int:
    """Which convolution of a downsampling block has the stride: the first, or the first 3x3 (v1.5)."""
    if entry.stride_on == "3x3":
        for number, item in enumerate(block.items):
            if item.get("kernel") == 3:
                return number
    return 0


def _shortcut(net: Expansion, name: str, source: Layer, body: Layer, stride: int) -> Layer:
    """H15 section 3.3: identity; A zeros for new maps; B a projection where the size changes; C always a projection."""
    channels, option = body.output[0], net.entry.shortcut
    changes = stride != 1 or source.output[0] != channels
    if not changes and option != "C":
        return source
    if option == "A":
        return net.put(cf.pad(f"{name}.pad", source, channels, stride))
    net.put(cf.conv(f"{name}.projection", source, channels, 1, stride=stride, bias=net.rules.conv_bias))
    _then(net, f"{name}.projection", tuple(kind for kind in net.rules.conv_then if kind != "relu"))
    return net.top


def _then(net: Expansion, name: str, kinds: tuple[str, ...]) -> None:
    """What the text puts behind each convolution or fully connected layer."""
    for kind in kinds:
        if kind == "batchnorm":
            net.put(cf.batchnorm(f"{name}_bn", net.top, _constants(net, kind)))
        else:
            net.put(cf.pointwise(f"{name}_{kind}", kind, net.top, _constants(net, kind) if kind == "tanh" else None))


def _flatten(net: Expansion) -> None:
    if len(net.top.output) == 3:
        net.put(cf.flatten("flatten", net.top))


def _constants(net: Expansion, kind: str) -> dict[str, Any]:
    rule = getattr(net.rules, kind)
    if rule is None:
        raise cf.ShapeError(f"a {kind} layer needs its constants in rules.{kind}")
    constants: dict[str, Any] = rule.__dict__
    return constants


def _check_side(layer: Layer, item: Item) -> None:
    side = item.get("side")
    if side is not None and layer.output[1:] != (side, side):
        raise cf.ShapeError(f"{layer.name}: {item} prints maps of {side}x{side}, the rows give {layer.output[1]}x{layer.output[2]}")
