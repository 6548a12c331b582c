"""The ledger with all claims judged once: what every page is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from repro.claims import VERDICTS, Judgement, judge_claim
from repro.layers import Layer
from repro.records import Record
from repro.tables import Ledger, Network, Paper
from repro.throughput.timing import Session

#: Kinds of layers that hold parameters, under the heads that reports give them.
PARTS = {"conv": "convolutions", "linear": "fully connected", "batchnorm": "batch norm", "subsampling": "subsampling"}


@dataclass(frozen=True)
class Judged:
    """A ledger, and a judgement for each of its claims in the ledger's order; the records of training runs, and the sessions of timings.

    Counts are closed form: no torch.
    """

    ledger: Ledger
    judgements: tuple[Judgement, ...]
    records: tuple[Record, ...] = ()
    sessions: tuple[Session, ...] = ()

    @classmethod
    def of(cls, ledger: Ledger, records: tuple[Record, ...] = (), sessions: tuple[Session, ...] = ()) -> Judged:
        """Judges every claim."""
        return cls(ledger, tuple(judge_claim(ledger, claim) for claim in ledger.claims), records, sessions)

    @property
    def networks(self) -> list[Network]:
        """Every network, in the order of the files."""
        return [self.ledger.network(name) for name in self.ledger.networks]

    def where(self, holds: Callable[[Judgement], bool]) -> list[Judgement]:
        """The judgements for which this holds."""
        return [judgement for judgement in self.judgements if holds(judgement)]

    def about(self, network: Network) -> list[Judgement]:
        """Every judgement about a network, whichever paper printed it."""
        return self.where(lambda judgement: judgement.claim.network == network.name)

    def totals(self, network: Network, quantity: str) -> list[Judgement]:
        """What papers print for the whole network: no layer, no expression of several networks."""
        return [j for j in self.about(network) if j.claim.quantity == quantity and j.claim.layer is None and not j.claim.measure]

    def paper(self, judgement: Judgement) -> Paper:
        """The paper that prints the claim; it need not be the one that prints the network."""
        return self.ledger.papers[judgement.claim.file]

    def count(self, verdict: str) -> int:
        """How many claims have this verdict."""
        return sum(judgement.verdict == verdict for judgement in self.judgements)

    def by_paper(self) -> pd.DataFrame:
        """Claims: a row for each file of papers/ and one for their sum ("all"), a column for each verdict and their sum ("claims")."""
        files, verdicts = list(self.ledger.papers), list(VERDICTS)
        claims = pd.DataFrame({"file": [j.claim.file for j in self.judgements], "verdict": [j.verdict for j in self.judgements]})
        counts = pd.crosstab(claims["file"], claims["verdict"]).reindex(index=files, columns=verdicts, fill_value=0)
        counts.insert(0, "claims", counts.sum(axis=1))
        counts.loc["all"] = counts.sum()
        return counts


def params_by_part(network: Network) -> dict[str, int]:
    """Trainable parameters under each head of PARTS."""
    counts = Counter(dict.fromkeys(PARTS, 0))
    for layer in network.layers:
        counts[layer.kind] += layer.params
    return {head: counts[kind] for kind, head in PARTS.items()}


def alike(networks: Iterable[Network], content: Callable[[Network], object]) -> list[list[Network]]:
    """The networks in groups of one paper and equal content, so that a plain net and its ResNet of option A share a row."""
    groups: dict[str, list[Network]] = {}
    for network in networks:
        groups.setdefault(repr((network.paper.file, network.input, content(network))), []).append(network)
    return list(groups.values())


def by_row(network: Network) -> Iterator[tuple[int, list[Layer]]]:
    """Each printed row's number with the layers that it gives."""
    for number in range(len(network.table.rows)):
        yield number, [layer for layer, row in zip(network.layers, network.rows, strict=True) if row == number]
