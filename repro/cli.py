"""The command ``repro``: the one place that knows all rooms. Torch and the reports are imported when needed."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer

from repro import __version__, cli_audit, cli_bench, cli_degradation, cli_lecture, printing
from repro.auditing.outside import TIMEOUT
from repro.checking import Check, Counter, check_layers, check_ledger
from repro.claims import judge_claim
from repro.cli_json import Json, print_json
from repro.errors import ReproError, file_failure
from repro.layers import Layer
from repro.locking import document, head, lock_path, write_lock
from repro.tables import Network, load_ledger

INTERRUPTED = 130
ROOT = Path(__file__).resolve().parent.parent

app = typer.Typer(
    name="repro",
    epilog="Start with `repro list`, then `repro show vgg-d` and `repro check`.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Names = Annotated[list[str] | None, typer.Argument(metavar="NETWORK", help="Networks to look at; all by default.")]
NetworkName = Annotated[str, typer.Argument(metavar="NETWORK", help="A name from `repro list`.")]


class What(StrEnum):
    """What there is to list."""

    networks = "networks"
    claims = "claims"


class Format(StrEnum):
    """How a check is printed."""

    text = "text"
    github = "github"


@app.callback()
def start(context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Do the numbers printed in the classic CNN papers hold, and does the code that people run build those networks?"""
    if version:
        print(f"cnn-repro {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", epilog="Examples: `repro list` · `repro list claims` · `repro list claims --json`")
def list_(what: Annotated[What, typer.Argument(help="What to list.")] = What.networks, as_json: Json = False) -> None:
    """List the networks, or the claims with their ids."""
    ledger = load_ledger()
    if what is What.claims:
        if as_json:
            print_json([judge_claim(ledger, claim).to_json() for claim in ledger.claims])
        else:
            printing.print_claims(ledger.claims)
    elif as_json:
        print_json([_summary(ledger.network(name)) for name in ledger.networks])
    else:
        printing.print_networks(ledger)


@app.command(epilog="Examples: `repro show resnet50` · `repro show lenet5 --json`")
def show(network: NetworkName, as_json: Json = False) -> None:
    """Show the printed table beside the layers that run: shape, parameters, MACs."""
    found = load_ledger().network(network)
    layers, torch_macs = _layers_that_run(found)
    if as_json:
        print_json(document(found, layers))
    else:
        printing.print_network(found, layers, torch_macs)


@app.command(
    epilog="Examples: `repro check` · `repro check vgg-d resnet50` · `repro check --closed-form` (no torch: fit for a "
    "pre-commit hook) · `repro check --cross-check` (fvcore too)\n\nExit code 0: all as expected; 1: drift; 2: bad input."
)
def check(
    networks: Names = None,
    closed_form: Annotated[bool, typer.Option("--closed-form", help="Judge from the tables and locks alone, without torch.")] = False,
    cross_check: Annotated[bool, typer.Option("--cross-check", help="Let fvcore count too, on real tensors.")] = False,
    format: Annotated[Format, typer.Option(help="`github` prints annotations for a workflow.")] = Format.text,
    as_json: Json = False,
) -> None:
    """Judge every claim that needs no training, after holding each network against its table and lock."""
    if closed_form and cross_check:
        raise ReproError("--closed-form and --cross-check exclude each other; give one of them")
    counters: list[Counter] = ["closed-form"] if closed_form else ["torch", "fvcore"] if cross_check else ["torch"]
    result = _check(networks or [], counters)
    if as_json:
        print_json(result.to_json())
    elif format is Format.github:
        printing.print_annotations(result)
    else:
        printing.print_check(result)
    raise typer.Exit(0 if result.ok else 1)


@app.command(epilog="Examples: `repro explain resnet50/macs` · `repro explain vgg-d/params --json`; ids: `repro list claims`")
def explain(claim: Annotated[str, typer.Argument(metavar="CLAIM", help="An id from `repro list claims`.")], as_json: Json = False) -> None:
    """Say where a number was printed, how it was measured, and which command remakes it."""
    ledger = load_ledger()
    judgement = judge_claim(ledger, ledger.claim(claim))
    if as_json:
        print_json(judgement.to_json())
    else:
        printing.print_explanation(judgement, ledger.papers[judgement.claim.file].entry)


@app.command(
    epilog="Examples: `repro solve resnet50 4.14e9` · `repro solve resnet50 3.8` · `repro solve vgg-d 30.9` · "
    "`repro solve alexnet 0.72 --json`\n\nA value below 1,000 is in 10^9."
)
def solve(
    network: NetworkName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A count as somebody wrote it: 4.14e9, 4.1G, 3.8 or 4,089,184,256.")],
    limit: Annotated[int, typer.Option(min=1, help="How many conventions to print; attested ones always are.")] = 10,
    as_json: Json = False,
) -> None:
    """Find the counting conventions that give a number, each with its bridge from the paper's count."""
    from repro import conventions

    solutions = conventions.solve(load_ledger(), network, value)
    if as_json:
        print_json(solutions.to_json())
    else:
        for line in conventions.solution_lines(solutions, limit):
            print(line)


@app.command(
    epilog="Examples: `repro lock` (compare) · `repro lock --write` (accept all) · `repro lock --write resnet50` · your own model, "
    "in your own CI: `repro lock --model 'model.py:ResNet(3)' --write`, then without `--write`\n\n"
    "Exit code 0: equal, or written; 1: drift; 2: bad input."
)
def lock(
    networks: Names = None,
    write: Annotated[bool, typer.Option("--write", help="Rewrite the locks from the networks that run.")] = False,
    model: Annotated[str | None, typer.Option(metavar="TARGET", help="Anybody's model instead, as `repro audit` takes it.")] = None,
    file: Annotated[Path, typer.Option(help="The lock of --model.")] = Path("repro.lock.json"),
    input: cli_audit.Input = None,
    timeout: cli_audit.Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Compare the networks that run, or anybody's model, with the layer lock, or rewrite the lock on purpose."""
    if model is not None:
        if networks:
            raise ReproError("--model excludes names of networks; give one or the other")
        raise typer.Exit(cli_audit.lock_target(model, file, input, timeout, write=write, as_json=as_json))
    ledger = load_ledger()
    chosen = [ledger.network(name) for name in networks or ledger.networks]
    written, drifts = [], []
    with printing.progress_bar(len(chosen)) as progress:
        for network in chosen:
            progress(network.name)
            layers, _ = _layers_that_run(network)
            if not write:
                drifts += check_layers(network, layers)
            elif write_lock(network, layers, lock_path(network.name)):
                written.append(network.name)
    if as_json:
        print_json({"written": written, "drifts": [drift.to_json() for drift in drifts]})
    elif write:
        print(f"{len(written)} of {len(chosen)} locks rewritten{': ' if written else ''}{', '.join(written)}")
    else:
        printing.print_check(Check(tuple(network.name for network in chosen), (), tuple(drifts), ()))
    raise typer.Exit(1 if drifts else 0)


@app.command(epilog="Examples: `repro report` · `repro report --check` (writes nothing; exit code 1 and a diff where a page is stale)")
def report(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail with a diff where a page is stale.")] = False,
    as_json: Json = False,
) -> None:
    """Write reports/*.md and the figures from the tables and records."""
    render, ledger = _reports(), load_ledger()
    if check:
        stale = render.stale_reports(ledger, ROOT)
        if as_json:
            print_json({"stale": stale})
        else:
            print("\n".join(stale) if stale else "reports are up to date")
        if stale:
            _say("reports are stale; rewrite them with `repro report`")
            raise typer.Exit(1)
        return
    written = [path.relative_to(ROOT).as_posix() for path in render.write_reports(ledger, ROOT)]
    if as_json:
        print_json({"written": written})
    else:
        print("\n".join(written) if written else "reports are up to date; no file changed")


@app.command(
    "all",
    epilog="Examples: `repro all` · `tox -e repro`, which runs it in an environment of its own · `repro all --again` trains anew\n\n"
    "Exit code 0: all as expected; 1: drift, or a run that didn't end; 2: bad input.",
)
def all_(
    again: Annotated[bool, typer.Option("--again", help="Train although there are records.")] = False,
    as_json: Json = False,
) -> None:
    """Check everything with every counter, run the lecture, train what has no record on the embedded digits, time a few networks where
    no machine has timings yet, then write the reports.

    A second run trains and times nothing and changes no file.
    """
    from repro import experiment, following

    render, ledger = _reports(), load_ledger()
    result = _check([], ["torch", "fvcore"])
    outcomes = following.follow(experiment.plan_digits(ROOT, again), None) if result.ok else []
    ended = all(outcome.record for outcome in outcomes)
    unexpected = cli_lecture.refresh(ROOT / "reports" / "lecture", again) if result.ok else []
    if result.ok:
        cli_bench.refresh(ROOT / "reports" / "records")
    written = [path.relative_to(ROOT).as_posix() for path in render.write_reports(ledger, ROOT)] if result.ok else []
    if as_json:
        print_json(
            {"check": result.to_json(), "degradation": following.findings(outcomes), "written": written}
            | {"lecture": [one.to_json() for one in unexpected]}
        )
    else:
        printing.print_check(result)
        following.print_outcomes(following.findings(outcomes))
        for one in unexpected:
            print(f"lecture: {one.statement.id} is {one.verdict}, expected {one.statement.expected}: {one.why('en')}")
        print("\n".join(["reports written:", *written]) if written else "no report changed")
    raise typer.Exit(0 if result.ok and ended and not unexpected else 1)


cli_audit.add_commands(app)
cli_degradation.add_command(app)
cli_bench.add_command(app)
cli_lecture.add_command(app)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command and ends the process: 0 good, 1 drift, 2 bad input (one line on standard error), 130 interrupted."""
    gc.freeze()  # what the imports made stays; looking at it again and again would take a fifth of a short run,
    gc.set_threshold(100_000)  # and so would looking at thousands of layers, none of which refers back
    try:
        code = app(arguments, standalone_mode=False)
        if sys.stdout is not None:  # `repro list >&-`
            sys.stdout.flush()
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except typer.TyperException as error:
        lines = error.format_message().replace("Value error, ", "").splitlines()
        context = getattr(error, "ctx", None)
        command = f" {context.info_name}" if context is not None and context.parent is not None else ""
        _say(f"{' '.join(line.strip() for line in lines)} (see `repro{command} --help`)")
        code = 2
    except ReproError as error:
        _say(str(error))
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; what was written is whole")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _drop_output()
        code = 141
    except OSError as error:
        _drop_output()
        _say(file_failure(error, "standard output"))
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _check(names: list[str], counters: list[Counter]) -> Check:
    ledger = load_ledger()
    with printing.progress_bar(len(set(names)) or len(ledger.networks)) as progress:
        return check_ledger(ledger, names, counters, progress=progress)


def _layers_that_run(network: Network) -> tuple[tuple[Layer, ...], int]:
    """The layers of the built network and what torch's counter sees of their MACs."""
    from repro.counting.tracing import build_to_trace, trace

    ran = trace(build_to_trace(network), network.input)
    return ran.layers, ran.torch_macs


def _reports() -> ModuleType:
    """The reports' room, which only a checkout has."""
    if not (ROOT / "reports" / "render.py").exists():
        raise ReproError(
            "reports are written into a checkout of the project, and this is an installed copy; run `pip install -e .` in a clone"
        )
    return importlib.import_module("reports.render")


def _summary(network: Network) -> dict[str, Any]:
    return head(network, network.layers) | {"layers": len(network.layers)}


def _drop_output() -> None:
    """What can't be written any more isn't tried again when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    print(f"repro: {text}", file=sys.stderr)
