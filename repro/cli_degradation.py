"""The command of the experiment; torch is imported when it runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from repro.cli_json import Json, print_json
from repro.recipe import NETWORKS, SEEDS

_EPILOG = (
    "Examples: `repro degradation` (embedded digits, minutes) · `repro degradation --seeds 5` · `repro degradation --data cifar10` "
    "(the paper's 64,000 iterations: days on a CPU) · `repro degradation --data folder:PATH --iterations 5000` · `repro degradation "
    "--print-commands` · `torchrun --nproc-per-node 2 -m repro degradation --networks resnet56 --seed 0` (one network on two devices)\n\n"
    "Ctrl-C saves the state; the same command goes on. Exit code 0: all runs have a record; 1: one didn't end; 2: bad input."
)


class Executor(StrEnum):
    """Where runs take place."""

    local = "local"
    ray = "ray"


def add_command(app: typer.Typer) -> None:
    """Adds ``degradation`` to the command."""
    app.command("degradation", epilog=_EPILOG)(degradation_)


def degradation_(
    data: Annotated[
        str, typer.Option(help="digits, mnist, fashion-mnist, cifar10, cifar100 or folder:PATH (train/ and test/ with a folder a class).")
    ] = "digits",
    root: Annotated[Path | None, typer.Option(help="Folder of the data's files, instead of a download.")] = None,
    networks: Annotated[str, typer.Option(help="Names with commas; plainN and resnetN for any N = 6n+2.")] = ",".join(NETWORKS),
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="How many seeds: 0, 1, ...")] = SEEDS,
    seed: Annotated[list[int] | None, typer.Option(min=0, max=2**63 - 1, help="These seeds instead; may be given several times.")] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, max=10_000_000, help="Default: 64,000 as in the paper; digits and MNIST 1,200.")
    ] = None,
    validation: Annotated[bool, typer.Option("--validation", help="Hold a tenth of the training set out, as the paper's 45k/5k.")] = False,
    size: Annotated[int | None, typer.Option(min=8, max=1_024, help="Resize a folder's images to this many pixels.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without the images that don't decode.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, max=1_024, help="Runs side by side; default: one a core, or one a device.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=1_024, help="CPU threads of each run; one is fastest, side by side.")] = 1,
    executor: Annotated[Executor, typer.Option(help="This machine, or a Ray cluster (RAY_ADDRESS).")] = Executor.local,
    print_commands: Annotated[bool, typer.Option("--print-commands", help="Print each run as a command of its own and end.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Train although there is a record.")] = False,
    checkpoints: Annotated[Path, typer.Option(help="Folder of the states of runs that haven't ended.")] = Path("runs"),
    records: Annotated[Path, typer.Option(help="Folder of the records.")] = Path("reports/records"),
    as_json: Json = False,
) -> None:
    """Train plain and residual networks of 20 and 56 layers, and judge whether depth degrades the plain ones (H15 section 4.2)."""
    from repro import distributed, experiment, following, machine

    choice = experiment.Choice(name=data, root=root, validation=validation, size=size, skip_bad=skip_bad)
    found = machine.find_device(device)
    with distributed.together(found):
        runs = experiment.plan(choice, networks.split(","), seed or range(seeds), iterations, found, threads, (checkpoints, records), again)
        if print_commands:
            print("\n".join(experiment.command(run) for run in runs))
            return
        outcomes = following.follow(runs, workers, on_ray=executor is Executor.ray)
    if distributed.first():
        findings = following.findings(outcomes)
        if as_json:
            print_json(findings)
        else:
            following.print_outcomes(findings)
    raise typer.Exit(0 if all(outcome.record for outcome in outcomes) else 1)
