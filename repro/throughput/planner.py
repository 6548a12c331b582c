"""Days that each paper's own training recipe takes, from the images a second that a session measured."""

from __future__ import annotations

from dataclasses import dataclass

from repro.claims import evaluate
from repro.tables import Ledger, Network
from repro.tables.schema import TrainingEntry
from repro.throughput.doubt import fastest_by_network
from repro.throughput.timing import Configuration, Session

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Recipe:
    """How many images a network sees in its paper's training: ``says`` is how ``papers/`` has it, ``where`` its place in print."""

    network: str
    images: int
    where: str
    says: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a recipe takes at the best rate that was measured.

    ``measured_seconds`` are those in which that rate was measured, warm-up left out; ``extrapolation`` is how many times longer the
    training is.
    """

    recipe: Recipe
    configuration: Configuration
    images_per_second: float
    measured_seconds: float

    @property
    def network(self) -> str:
        """The network's name."""
        return self.recipe.network

    @property
    def images(self) -> int:
        """How many the recipe sees."""
        return self.recipe.images

    @property
    def seconds(self) -> float:
        """Seconds of the whole training."""
        return self.images / self.images_per_second

    @property
    def days(self) -> float:
        """Days of 24 hours."""
        return self.seconds / SECONDS_A_DAY

    @property
    def extrapolation(self) -> float:
        """Seconds of the whole training over those that were measured."""
        return self.seconds / self.measured_seconds


def recipes(ledger: Ledger) -> dict[str, Recipe]:
    """The recipe of each network, from ``[training.*]`` of its paper: one for each size of input, as ResNet's file has ImageNet and
    CIFAR-10, the first that a claim names. What public code makes of a printed network has that one's.

    S14 prints 370K iterations and 74 epochs, which agree: 370,000 * 256 / 1.281 million images are 73.9. H15's 60 x 10^4 iterations on
    ImageNet are "up to" so many.
    """
    first: dict[tuple[str, str], TrainingEntry] = {}
    for claim in ledger.claims:
        network = ledger.network(claim.network)
        if claim.training is not None and claim.file == network.paper.file:
            first.setdefault(_kind(network), claim.training)
    found = {}
    for name in ledger.networks:
        network = ledger.network(name)
        if training := first.get(_kind(network)):
            where = f"{network.paper.entry.key} {training.where}"
            says = f"{training.images_seen} images of {training.data}"
            found[name] = Recipe(name, int(evaluate(ledger, training.images_seen)), where, says)
    return found


def plan(session: Session, ledger: Ledger) -> list[Plan]:
    """A plan for each network whose training was timed, at the configuration with the most images a second, whatever its batch.

    Images only: forward, backward and the step, with nothing for loading data or for evaluation, and as if one machine held that rate for
    days. A batch other than the recipe's would need another learning rate.
    """
    known = recipes(ledger)
    best = fastest_by_network(session.rows, "training")
    return [
        Plan(known[name], row.configuration, row.images_per_second, sum(row.seconds) * row.calls)
        for name, row in best.items()
        if name in known
    ]


def _kind(network: Network) -> tuple[str, str]:
    return network.paper.file, network.table.input
