"""Differences -> their usual names, and the verdict.

What one name covers becomes one difference, whose deltas are the sum of theirs: nine BNs are "BN added to VGG". Sums stay exact.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from repro.auditing.graph import Graph
from repro.auditing.places import Place, Scene
from repro.auditing.results import Difference, Verdict
from repro.auditing.usual import USUAL
from repro.layers import Shape, size

#: What only follows from other differences, and is no fault of its own.
FOLLOWS = "follows from the other differences"
#: Attributes whose change costs no more than itself. What shares or doesn't train its weights has fewer, so these keep their cost.
_LONGEST = 100
_FREE = ("bias", "eps", "momentum", "k", "alpha", "beta", "n", "p", "always")

#: By the side of the first kernel: AlexNet's 227 without padding is as good as 224 with it, LeNet-5's 28 in a frame as 32.
_ALSO_TAKEN: dict[int, Shape] = {11: (3, 227, 227), 5: (1, 28, 28)}


class Named(NamedTuple):
    """Differences with their names, and the verdict that they give where no proof is needed."""

    differences: tuple[Difference, ...]
    verdict: Verdict


def name_differences(network: str, paper: Graph, found: Graph, differences: Sequence[Difference]) -> Named:
    """Names what differs from ``network`` and puts together what has one name. ``exact`` where nothing differs."""
    singles = [part for difference in differences for part in _split(difference, found)]
    scene = Scene(network, paper, found, singles)
    groups: dict[str, tuple[str, list[Difference]]] = {}
    for number, difference in enumerate(singles):
        name, verdict, why = _name(scene, difference)
        groups.setdefault(name or f"#{number}", (verdict, []))[1].append(replace(difference, name=name, makes=verdict, why=why))
    if FOLLOWS in groups:
        _, follows = groups.pop(FOLLOWS)
        name = next(iter(groups)) if len(groups) == 1 and scene.same_input else FOLLOWS if scene.same_input else _other_input(scene)
        verdict = "follows" if scene.same_input else "wrong"
        groups.setdefault(name, (verdict, []))[1].extend(replace(difference, name=name, makes=verdict) for difference in follows)
    verdicts = {verdict for verdict, _ in groups.values()}
    merged = tuple(_merge(together) for _, together in groups.values())
    return Named(merged, "wrong" if "wrong" in verdicts else "variant" if groups else "exact")


def _other_input(scene: Scene) -> str:
    return f"input of {size(scene.found.graph.input)} instead of {size(scene.paper.graph.input)}"


def is_in_a_paper(found: Graph, papers: Iterable[Graph]) -> bool:
    """Whether stem, widths and input are those of a network of the ledger; a width that a single layer has may be another."""
    return any(_is_like(Place(found), Place(paper)) for paper in papers)


def _is_like(found: Place, paper: Place) -> bool:
    if found.graph.input not in _inputs(paper) or found.stem is None or paper.stem is None or found.is_residual != paper.is_residual:
        return False
    stems = [place[place.stem].attributes for place in (found, paper) if place.stem is not None]
    if any(stems[0].get(name) != stems[1].get(name) for name in ("channels", "kernel")):
        return False
    theirs, ours = found.wide_convs, paper.wide_convs
    return set(theirs) - _rare(theirs) <= set(ours) and set(ours) - _rare(ours) <= set(theirs)


def _rare(widths: Sequence[int]) -> set[int]:
    """Widths that one layer has: a single fault may change them."""
    return {width for width in widths if widths.count(width) == 1}


def _inputs(paper: Place) -> set[Shape]:
    """What the paper's network takes, or nearly."""
    kernel = paper[paper.stem].attributes.get("kernel", (0,)) if paper.stem is not None else (0,)
    return {paper.graph.input, _ALSO_TAKEN.get(kernel[0], paper.graph.input)}


def _name(scene: Scene, difference: Difference) -> tuple[str, str, str]:
    """The name, what it makes the network, and why; a difference without a name is wrong."""
    if difference.kind == "follows":
        return FOLLOWS, "follows", ""
    for usual in USUAL:
        words = usual.match(scene, difference)
        if words is not None:
            return textwrap.shorten(usual.name.format(*words), _LONGEST, placeholder=" ..."), usual.verdict, usual.why
    return "", "wrong", ""


def _split(difference: Difference, found: Graph) -> Iterator[Difference]:
    """A changed operation as several, each with one name: a bias apart from the stride, k apart from alpha, and what only follows."""
    if difference.kind != "changed":
        yield difference
        return
    params, macs = difference.params_delta, difference.macs_delta
    free = [name for name in _FREE if name in difference.changes]
    left = {name: change for name, change in difference.changes.items() if name not in free}
    for name in free:
        cost = _bias(difference, found) if name == "bias" else 0
        params -= cost
        yield replace(difference, changes={name: difference.changes[name]}, params_delta=cost, macs_delta=0)
    if left or params or macs:
        yield replace(difference, kind="changed" if left else "follows", changes=left, params_delta=params, macs_delta=macs)


def _bias(difference: Difference, found: Graph) -> int:
    """Parameters that a bias adds or takes away."""
    expected, has = difference.changes["bias"]
    channels = sum(int(found.nodes[number].attributes["channels"]) for number in difference.nodes)
    return channels * (bool(has) - bool(expected))


def _merge(together: Sequence[Difference]) -> Difference:
    """One difference for all of one name; it is ``changed`` unless all are of one kind."""
    first = together[0]
    if len(together) == 1:
        return first
    kinds = {difference.kind for difference in together} - {"follows"} or {"follows"}
    places = list(dict.fromkeys(difference.where for difference in together))
    return replace(
        first,
        kind=first.kind if len(kinds) == 1 else "changed",
        where=places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more",
        expected=_texts(difference.expected for difference in together),
        found=_texts(difference.found for difference in together),
        params_delta=sum(difference.params_delta for difference in together),
        macs_delta=sum(difference.macs_delta for difference in together),
        changes={name: change for difference in reversed(together) for name, change in difference.changes.items()},
        paper_nodes=tuple(dict.fromkeys(number for difference in together for number in difference.paper_nodes)),
        nodes=tuple(dict.fromkeys(number for difference in together for number in difference.nodes)),
    )


def _texts(texts: Iterable[str | None]) -> str | None:
    """Up to three different ones."""
    shown = list(dict.fromkeys(text for text in texts if text))
    return ("; ".join(shown[:3]) + ("; ..." if len(shown) > 3 else "")) if shown else None
