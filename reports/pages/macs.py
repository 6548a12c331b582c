"""macs.md: multiply-accumulates and FLOPs, never in one column."""

from __future__ import annotations

from collections.abc import Iterator

from reports import wording
from reports.charts import LAYERS, MACS, alt_of_layers, alt_of_macs
from reports.judged import Judged, by_row
from reports.markdown import code, document, picture, remake, table, text
from reports.pages.parameters import beside, not_printed, statements
from repro.tables import Network

TITLE = "MACs and FLOPs"
ABOUT = "Multiply-accumulates and floating-point operations of one image, beside what is printed."
HEADS = ["MACs >", "FLOPs (2 MACs) >"]
LEAD = """\
A MAC is one multiply-accumulate of a convolution or a linear layer, for one image; activations, pooling, normalisation and biases
have none. A FLOP is one floating-point operation, so one MAC is two FLOPs. He et al. print MACs and call them FLOPs (section 3.3: \
"multiply-adds"): the printed column below is compared with the MACs."""


def write_macs(judged: Judged) -> str:
    """The page."""
    return document(
        TITLE,
        LEAD,
        "## Printed and exact",
        table(["network", *HEADS, "printed", "stands for", "verdict", "where"], _totals(judged)),
        remake("repro check"),
        *not_printed(judged, "macs", HEADS, _counts),
        picture(f"figures/{MACS}", alt_of_macs(judged)),
        "## Where the MACs sit, and where the parameters",
        picture(f"figures/{LAYERS}", alt_of_layers(judged)),
        remake("repro report"),
        *_strides(judged),
        *_unseen(judged),
        *_ratios(judged),
    )


def _totals(judged: Judged) -> Iterator[list[str]]:
    for network in judged.networks:
        for judgement in judged.totals(network, "macs"):
            yield [wording.network_link(network.name), *_counts(network), *beside(judged, judgement)]


def _counts(network: Network) -> list[str]:
    return [f"{network.macs:,d}", f"{2 * network.macs:,d}"]


def _strides(judged: Judged) -> Iterator[str]:
    """The same column with the stride on the first 1x1 (v1) and on the 3x3 (v1.5)."""
    moved = [network for network in judged.networks if network.entry.stride_on == "3x3"]
    pairs = [(first, other) for other in moved for first in judged.networks if _differ_in_the_stride_only(first, other)]
    if pairs:
        yield "## Stride on the first 1x1 (v1) or on the 3x3 (v1.5)"
        yield (
            "The paper doesn't print which convolution of a bottleneck has the stride of 2. The authors' released models have it on the "
            "first 1x1; most public code, torchvision's too, has it on the 3x3. Parameters are equal, MACs aren't."
        )
        heads = ["network", "printed", "stands for", "v1 MACs >", "fits", "v1.5 MACs >", "fits", "more by >"]
        yield table(heads, (_pair(judged, *pair) for pair in pairs))
        yield remake(f"repro check {' '.join(network.name for pair in pairs for network in pair)}")


def _differ_in_the_stride_only(first: Network, other: Network) -> bool:
    return first.entry.stride_on == "first" and other.entry.code_of == first.name and other.entry.stride_on == "3x3"


def _pair(judged: Judged, first: Network, other: Network) -> list[str]:
    more = f"{100 * (other.macs / first.macs - 1):.1f} %"
    claims = judged.totals(first, "macs")
    printed, stands_for = (wording.printed_cell(claims[0].claim), wording.stands_for(claims[0])) if claims else ("not printed", "")
    inside = ["yes" if claims and macs in claims[0].claim.interval else "no" for macs in (first.macs, other.macs)]
    name = wording.network_link(first.name)
    return [name, printed, stands_for, f"{first.macs:,d}", inside[0], f"{other.macs:,d}", inside[1], more]


def _unseen(judged: Judged) -> Iterator[str]:
    """Networks with a layer that torch's counter and fvcore have no formula for: LeNet-5's RBF."""
    for network in judged.networks:
        unseen = sum(layer.macs for layer in network.layers if layer.kind == "rbf")
        if unseen:
            yield f"## {text(network.name)}: {unseen:,d} MACs that counters can't see"
            yield (
                f"The RBF output is a sum of squared differences, for which neither torch's counter nor fvcore has a formula: both count "
                f"{network.macs - unseen:,d} of the {network.macs:,d}. The difference is a line of its own here and in `repro show`."
            )
            yield table(["layer", "cell", "MACs >", "seen by torch and fvcore >"], _seen(network))
            yield remake(f"repro check {network.name} --cross-check")


def _seen(network: Network) -> Iterator[list[str]]:
    for number, layers in by_row(network):
        macs = sum(layer.macs for layer in layers)
        if macs:
            seen = sum(layer.macs for layer in layers if layer.kind != "rbf")
            yield [text(network.table.rows[number].name), code(network.cell(number)), f"{macs:,d}", f"{seen:,d}"]
    yield ["**all**", "", f"{network.macs:,d}", f"{sum(layer.macs for layer in network.layers if layer.kind != 'rbf'):,d}"]


def _ratios(judged: Judged) -> Iterator[str]:
    claims = judged.where(lambda judgement: "macs(" in (judgement.claim.measure or ""))
    if claims:
        yield "## Ratios"
        yield statements(judged, claims)
        yield remake("repro check")
