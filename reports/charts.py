"""What the figures show: their data, which decide whether a figure is fresh, and their description in words.

Nothing here draws; ``reports.drawing`` does, and matplotlib is imported only when a figure's data changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports import wording
from reports.judged import Judged, alike, by_row, params_by_part
from repro.claims import as_number
from repro.tables import Network

#: The style of the figures is the text that draws them: when it changes, every figure is drawn again.
STYLE = (Path(__file__).parent / "drawing.py").read_text(encoding="utf-8")
THEMES = ("light", "dark")
PARAMETERS, MACS, LAYERS = "parameters-by-network", "macs-by-network", "params-and-macs-by-layer"

#: The networks whose layers are drawn: parameters in the FC layers, MACs in the convolutions, and neither.
DRAWN_BY_LAYER = ("alexnet", "vgg-d", "resnet50")


@dataclass(frozen=True)
class Chart:
    """A figure before it is drawn. ``data`` are JSON types. ``kind`` names the drawing where the stem doesn't."""

    stem: str
    title: str
    data: list[dict[str, Any]]
    kind: str = ""
    style: str = STYLE

    def digest(self, theme: str) -> str:
        """What the figure would be drawn from; two figures with one digest show the same."""
        content = json.dumps([self.style, self.stem, self.title, theme, self.data], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def all_charts(judged: Judged) -> tuple[Chart, ...]:
    """Every figure of the reports."""
    return (
        Chart(PARAMETERS, "Parameters by network", data_of_parameters(judged)),
        Chart(MACS, "MACs by network", data_of_macs(judged)),
        Chart(LAYERS, "Parameters and MACs by layer", data_of_layers(judged)),
    )


def data_of_parameters(judged: Judged) -> list[dict[str, Any]]:
    """A bar for each network; networks of one file with equal counts share it."""
    return list(_merged(judged, lambda network: {"params": network.params, "parts": params_by_part(network)}))


def data_of_macs(judged: Judged) -> list[dict[str, Any]]:
    """MACs of each network with the printed value and its interval, where there is one."""

    def row(network: Network) -> dict[str, Any]:
        row: dict[str, Any] = {"macs": network.macs, "low": None, "high": None, "printed": None}
        for judgement in judged.totals(network, "macs")[:1]:
            claim = judgement.claim
            row |= {"low": as_number(claim.interval.low), "high": as_number(claim.interval.high)}
            row["printed"] = f"{claim.printed} {claim.scale}".strip()
        return row

    return list(_merged(judged, row))


def data_of_layers(judged: Judged) -> list[dict[str, Any]]:
    """Each convolution and fully connected layer of a few networks; batch normalisation is added to the layer that it follows."""
    drawn = [network for network in judged.networks if network.name in DRAWN_BY_LAYER] or judged.networks[:3]
    return [{"label": net.name, "params": net.params, "macs": net.macs, "rows": list(_rows(net))} for net in drawn]


def alt_of_parameters(judged: Judged) -> str:
    """The figure in words."""
    shares = []
    for network in judged.networks:
        if network.name in DRAWN_BY_LAYER:
            part = params_by_part(network)["fully connected"]
            shares.append(f"{network.name} has {100 * part / network.params:.0f} % of its parameters in fully connected layers")
    return f"Parameters of each network on a logarithmic scale, and the kinds of layers that hold them. {_sentence(shares)}"


def alt_of_macs(judged: Judged) -> str:
    """The figure in words."""
    outside = []
    for row in data_of_macs(judged):
        if row["printed"] and not row["low"] <= row["macs"] < row["high"]:
            middle = (row["low"] + row["high"]) / 2
            outside.append(f"{row['label']} is {100 * (row['macs'] / middle - 1):+.1f} % from the printed {row['printed']}")
    return (
        "MACs of each network on a logarithmic scale; beside them, for the networks with a printed value, how far the count is from it "
        f"and what rounding allows. {_sentence(outside)}"
    )


def alt_of_layers(judged: Judged) -> str:
    """The figure in words."""
    shares = []
    for row in data_of_layers(judged):
        for field, word in (("params", "parameters"), ("macs", "MACs")):
            top = max(row["rows"], key=lambda part: sum(layer[field] for layer in part["layers"]))
            share = 100 * sum(layer[field] for layer in top["layers"]) / row[field]
            shares.append(f"{top['label']} of {row['label']} has {share:.0f} % of its {word}")
    return f"Share of parameters (upward) and of MACs (downward) of each layer of {_names(judged)}. {_sentence(shares)}"


def _names(judged: Judged) -> str:
    return wording.joined([row["label"] for row in data_of_layers(judged)])


def _sentence(parts: list[str]) -> str:
    return f"{wording.joined(parts)}." if parts else ""


def _merged(judged: Judged, row: Callable[[Network], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each network, or for several of one paper that agree in everything shown."""
    for group in alike(judged.networks, row):
        yield {"label": ", ".join(network.name for network in group), **row(group[0])}


def _rows(network: Network) -> Iterator[dict[str, Any]]:
    """The layers with weights, by printed row."""
    for number, layers in by_row(network):
        bars: list[dict[str, Any]] = []
        for layer in layers:
            if layer.kind in ("conv", "linear"):
                bars.append({"params": layer.params, "macs": layer.macs, "part": layer.kind})
            elif bars:
                bars[-1]["params"] += layer.params
        if bars:
            yield {"label": network.table.rows[number].name or "fc", "layers": bars}
