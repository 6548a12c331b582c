"""The runs of the experiment: plain against residual, by seed (H15 section 4.2)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from repro import distributed
from repro.data import Dataset, load
from repro.errors import ReproError, UnknownName
from repro.machine import fast_settings
from repro.recipe import NETWORKS, PAPER_ITERATIONS, SCALED_ITERATIONS, SEEDS, Recipe, depth_of, paper_recipe
from repro.records import Part, Settings, find_record, run_key
from repro.tables import Network, load_ledger
from repro.training import describe


class Choice(Part):
    """Which data, as the options of the command say it."""

    name: str
    root: Path | None = None
    validation: bool = False
    size: int | None = None
    skip_bad: bool = False

    def load(self) -> Dataset:
        """The data. Raises ReproError where it's missing or damaged."""
        options = {"validation": self.validation, "skip_bad": self.skip_bad}
        return distributed.from_first(lambda: load(self.name, self.root, size=self.size, **options))


class Specification(Part):
    """One run, in words that can travel to another process or machine. ``again`` trains where there is a record already."""

    key: str
    network: str
    seed: int
    recipe: Recipe
    settings: Settings
    data: Choice
    checkpoints: Path
    records: Path
    again: bool = False

    @property
    def title(self) -> str:
        """What people call the run."""
        return f"{self.network} seed {self.seed}"

    def done(self) -> Path | None:
        """The record that makes training superfluous."""
        return None if self.again else find_record(self.records, self.key)


def find_network(name: str, classes: int = 10) -> Network:
    """A network of H15 section 4.2 by name: one of the ledger's, or another with 6n+2 layers, such as ``plain26``.

    With more or fewer than ten ``classes``, the last layer has as many. Raises ReproError where the depth isn't 6n+2.
    """
    ledger = load_ledger()
    match = re.fullmatch(r"(plain|resnet)(0|[1-9]\d{0,4})", name)
    if match is None or (name in ledger.networks and ledger.network(name).table.where != "Section 4.2"):
        raise UnknownName("network", name, [known for known in ledger.networks if ledger.network(known).table.where == "Section 4.2"])
    kind, depth = match[1], int(match[2])
    n, rest = divmod(depth - 2, 6)
    if rest or n < 1:
        near = sorted({max(8, 6 * n + 2), 6 * max(n, 1) + 8})
        raise ReproError(
            f"{name}: {depth} layers aren't 6n+2, as the networks of H15 section 4.2 have; the nearest are "
            + " and ".join(f"{kind}{depth}" for depth in near)
        )
    network = replace(ledger.variant(f"{kind}20", n=n), name=name)
    if classes == 10:
        return network
    *body, last = network.layers
    values = last.macs // 10
    last = replace(last, output=(classes,), params=(values + 1) * classes, macs=values * classes)
    return replace(network, layers=(*body, last))


def plan(
    choice: Choice,
    networks: Sequence[str],
    seeds: Sequence[int],
    iterations: int | None,
    device: str,
    threads: int,
    folders: tuple[Path, Path],
    again: bool = False,
) -> list[Specification]:
    """The runs, seed by seed, the longest first; ``folders`` are those of checkpoints and records.

    Reads the data once, since recipe and layers depend on it. Raises ReproError for what doesn't exist or makes no sense.
    """
    data = choice.load()
    described = describe(data)
    found = [find_network(name, data.classes) for name in dict.fromkeys(networks)]
    iterations = iterations or SCALED_ITERATIONS.get(data.name, PAPER_ITERATIONS)
    height, width = data.train.images.shape[1:3]
    runs = []
    for network in sorted(found, key=lambda network: -network.macs):
        used = paper_recipe(depth_of(network.name), iterations, pad=data.pad, mirror=data.mirror)
        runs.append((network.name, used, fast_settings(device, height * width * used.batch * iterations, threads)))
    checkpoints, records = (folder.resolve() for folder in folders)
    return [
        Specification(
            key=run_key(name, seed, used, described, distributed.world()),
            network=name,
            seed=seed,
            recipe=used,
            settings=settings,
            data=choice,
            checkpoints=checkpoints,
            records=records,
            again=again,
        )
        for seed in dict.fromkeys(seeds)
        for name, used, settings in runs
    ]


def plan_digits(root: Path, again: bool = False) -> list[Specification]:
    """The experiment with its defaults, as ``repro all`` in a checkout at ``root`` makes it."""
    folders = root / "runs", root / "reports" / "records"
    return plan(Choice(name="digits"), NETWORKS, range(SEEDS), None, "cpu", 1, folders, again)


def command(specification: Specification) -> str:
    """The run as a command of its own, for the array of a batch system."""
    choice, used = specification.data, specification.recipe
    words = ["repro", "degradation", "--data", choice.name, "--networks", specification.network, "--seed", str(specification.seed)]
    words += ["--iterations", str(used.iterations), "--device", specification.settings.device]
    words += ["--threads", str(specification.settings.threads)]
    words += ["--root", str(choice.root)] if choice.root else []
    words += ["--validation"] if choice.validation else []
    words += ["--size", str(choice.size)] if choice.size else []
    words += ["--skip-bad"] if choice.skip_bad else []
    words += ["--checkpoints", str(specification.checkpoints), "--records", str(specification.records)]
    return shlex.join(words)
