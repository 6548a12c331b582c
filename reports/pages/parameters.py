"""parameters.md: printed counts of parameters beside exact ones, and where in a network the parameters sit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reports import wording
from reports.charts import PARAMETERS, alt_of_parameters
from reports.judged import PARTS, Judged, alike, by_row, params_by_part
from reports.markdown import code, document, picture, remake, table, text
from repro.claims import Judgement
from repro.tables import Network

TITLE = "Parameters"
ABOUT = "Trainable parameters of each network beside the printed count, and which layers hold them."


def write_parameters(judged: Judged) -> str:
    """The page."""
    return document(
        TITLE,
        _lead(judged),
        "## Printed and exact",
        table(["network", "parameters >", "printed", "stands for", "verdict", "where"], _totals(judged)),
        remake("repro check"),
        *not_printed(judged, "params", ["parameters >"], lambda network: [f"{network.params:,d}"]),
        "## Where the parameters sit",
        picture(f"figures/{PARAMETERS}", alt_of_parameters(judged)),
        table(["network", *(f"{head} >" for head in PARTS.values()), "all >", "fully connected, % >"], _parts(judged)),
        remake("repro report"),
        *_layer_by_layer(judged),
        *_shares(judged),
        *_ratios(judged),
    )


def _lead(judged: Judged) -> str:
    claims = [judgement for network in judged.networks for judgement in judged.totals(network, "params")]
    hold = sum(judgement.verdict == "reproduced" for judgement in claims)
    fixed = [f"{network.name}: {network.fixed_params:,d}" for network in judged.networks if network.fixed_params]
    return (
        f"The papers print {wording.several(len(claims), 'count')} of parameters for a whole network; {hold} of them hold. "
        "Counted are trainable parameters, shared ones once, with those of batch normalisation (one scale and one shift a channel) "
        "and without its running statistics. "
        "A printed number stands for every value that would be printed like it, the upper end not included."
        + (f" Values set by hand are not in the counts ({text(', '.join(fixed))})." if fixed else "")
    )


def _totals(judged: Judged) -> Iterator[list[str]]:
    for network in judged.networks:
        for judgement in judged.totals(network, "params"):
            yield [wording.network_link(network.name), f"{network.params:,d}", *beside(judged, judgement)]


def beside(judged: Judged, judgement: Judgement) -> list[str]:
    """The columns printed, stands for, verdict and where."""
    claim = judgement.claim
    place = wording.place(judged.paper(judgement), claim.where)
    return [wording.printed_cell(claim), wording.stands_for(judgement), wording.verdict(judgement), place]


def not_printed(judged: Judged, quantity: str, heads: list[str], counts: Callable[[Network], list[str]]) -> Iterator[str]:
    """The networks for which no paper prints this quantity; those of one paper and equal counts share a row."""
    networks = [network for network in judged.networks if not judged.totals(network, quantity)]
    if networks:
        rows = ([_links(group), *counts(group[0]), "not printed"] for group in alike(networks, counts))
        yield "No paper prints it for:"
        yield table(["network", *heads, "printed"], rows)
        yield remake("repro list")


def _links(networks: list[Network]) -> str:
    return ", ".join(wording.network_link(network.name) for network in networks)


def _parts(judged: Judged) -> Iterator[list[str]]:
    for group in alike(judged.networks, params_by_part):
        counts, params = params_by_part(group[0]), group[0].params
        share = 100 * counts[PARTS["linear"]] / params if params else 0
        yield [_links(group), *(f"{count:,d}" if count else "" for count in counts.values()), f"{params:,d}", f"{share:.1f}"]


def _layer_by_layer(judged: Judged) -> Iterator[str]:
    """Tables of the networks whose paper prints parameters and connections of single layers."""
    for network in judged.networks:
        printed = [j for j in judged.about(network) if j.claim.quantity in ("params", "connections") and not j.claim.measure]
        if any(judgement.claim.layer for judgement in printed):
            yield f"## {text(network.name)}, layer by layer"
            yield "A connection is one multiplication or one bias, at every output, as LeCun et al. count them."
            yield table(
                ["layer", "cell", "parameters >", "printed >", "connections >", "printed >"], _rows(network, {_key(j): j for j in printed})
            )
            yield remake(f"repro check {network.name}", f"repro show {network.name}")


def _rows(network: Network, printed: dict[tuple[str | None, str], Judgement]) -> Iterator[list[str]]:
    for number, layers in by_row(network):
        row = network.table.rows[number]
        params, connections = sum(layer.params for layer in layers), sum(layer.connections for layer in layers)
        yield [text(row.name), code(network.cell(number)), *_beside(printed, row.name, params, connections)]
    connections = sum(layer.connections for layer in network.layers)
    yield ["**all**", "", *_beside(printed, None, network.params, connections)]


def _beside(printed: dict[tuple[str | None, str], Judgement], layer: str | None, params: int, connections: int) -> Iterator[str]:
    for quantity, count in (("params", params), ("connections", connections)):
        judgement = printed.get((layer, quantity))
        yield f"{count:,d}"
        yield "" if judgement is None else _marked(judgement)


def _marked(judgement: Judgement) -> str:
    """The printed cell, with the verdict where it isn't the good one."""
    shown = wording.printed_cell(judgement.claim)
    return shown if judgement.verdict == "reproduced" else f"{shown} {wording.verdict(judgement)}"


def _key(judgement: Judgement) -> tuple[str | None, str]:
    return judgement.claim.layer, judgement.claim.quantity


def _shares(judged: Judged) -> Iterator[str]:
    """Tables of the networks whose paper says how large a part of the parameters a layer has."""
    for network in judged.networks:
        claims = [judgement for judgement in judged.about(network) if judgement.claim.quantity == "params_share"]
        if claims:
            place = wording.place(judged.paper(claims[0]), claims[0].claim.where)
            yield f"## {text(network.name)}: each layer's share"
            yield f"{place} prints a bound for {wording.several(len(claims), 'layer')}:"
            yield table(["layer", "parameters >", "share >", "printed", "verdict"], (_share(network, judgement) for judgement in claims))
            yield remake(f"repro check {network.name}")


def _share(network: Network, judgement: Judgement) -> list[str]:
    claim = judgement.claim
    params = sum(layer.params for layer in network.layers_of(claim.layer or ""))
    return [text(claim.layer or ""), f"{params:,d}", wording.measured(judgement), wording.printed_cell(claim), wording.verdict(judgement)]


def _ratios(judged: Judged) -> Iterator[str]:
    claims = judged.where(lambda judgement: any(word in (judgement.claim.measure or "") for word in ("params(", "weights(")))
    if claims:
        yield "## Ratios and smaller statements"
        yield statements(judged, claims)
        yield remake("repro check")


def statements(judged: Judged, claims: list[Judgement]) -> str:
    """A table of claims that are no plain count, with what each measures in words."""
    return table(
        ["network", "printed", "stands for", "counted >", "what it is", "verdict", "where"],
        (
            [
                wording.network_link(judgement.claim.network),
                wording.printed_cell(judgement.claim),
                wording.stands_for(judgement),
                wording.measured(judgement),
                text(judgement.claim.note or judgement.claim.quantity),
                wording.verdict(judgement),
                wording.place(judged.paper(judgement), judgement.claim.where),
            ]
            for judgement in claims
        ),
    )
