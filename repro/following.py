"""Runs as a reader follows them: one line each while they train, then what they show."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from repro import distributed, machine
from repro.degradation import experiments
from repro.executing import Outcome, Progress, Stop, Tell, run_here, run_side_by_side
from repro.experiment import Specification
from repro.printing import console
from repro.records import read_record
from repro.with_ray import run_on_ray


def follow(runs: Sequence[Specification], workers: int | None, *, on_ray: bool = False) -> list[Outcome]:
    """Trains what has no record yet, with a line of progress for each run on standard error, and says how each ended."""
    distributed.check_shares(len(runs), runs[0].recipe.batch)
    found = distributed.from_first(lambda: {run.title: run.done() for run in runs})
    missing = [run for run in runs if not found[run.title]]
    ended = [Outcome(run, found[run.title], None) for run in runs if found[run.title]]
    workers = workers or (len(missing) if on_ray else _workers(runs))
    if distributed.first():
        _say_plan(runs, len(missing), workers)
    if not missing:
        return ended
    with _shown(missing) as tell:
        if distributed.world() > 1:
            return [_together(missing[0], tell)]
        if on_ray:
            return ended + run_on_ray(missing, workers, tell)
        return ended + run_side_by_side(missing, workers, tell)


def _say_plan(runs: Sequence[Specification], missing: int, workers: int) -> None:
    """At once, since torch and the data take a while to load."""
    where = os.path.relpath(runs[0].records)
    if missing < len(runs):
        done = len(runs) - missing
        print(f"{done} of {len(runs)} runs have a record in {where} and aren't trained anew; --again trains them", file=sys.stderr)
    if missing:
        print(f"{missing} runs to train, {min(workers, missing)} at a time; records go to {where}", file=sys.stderr, flush=True)


def findings(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The experiment's findings over the runs that have a record, and the others with their reason."""
    records = [read_record(outcome.record) for outcome in outcomes if outcome.record]
    return {
        "experiments": [experiment.to_json() for experiment in experiments(records)],
        "failures": [{"run": outcome.specification.title, "reason": outcome.failure} for outcome in outcomes if outcome.failure],
        "records": [str(outcome.record) for outcome in outcomes if outcome.record],
    }


def print_outcomes(found: dict[str, Any]) -> None:
    """``repro degradation``: the errors of each network, the verdicts, and the runs that didn't end."""
    out = console()
    for experiment in found["experiments"]:
        out.print(f"[bold]{experiment['label']}[/]", soft_wrap=True)
        for name, values in experiment["networks"].items():
            mean = {key: sum(values[key]) / len(values[key]) for key in ("training error", "test error") if values[key]}
            if mean:
                errors = ", ".join(f"{key} {value:.2f} %" for key, value in mean.items())
                out.print(f"  {name:<9} {errors} (mean of {len(values['seeds'])})", soft_wrap=True)
        shown = [finding for finding in experiment["findings"] if set(finding["criterion"]["contrast"]) <= set(experiment["networks"])]
        for finding in shown:
            out.print(f"  {finding['verdict']}: {finding['criterion']['sentence']} ({finding['reason']})", soft_wrap=True)
    for failure in found["failures"]:
        out.print(f"[red]{escape(failure['run'])}: {escape(failure['reason'])}[/]", soft_wrap=True)
    out.print("curves, intervals and figures of what is in reports/records: `repro report`", soft_wrap=True)


def _workers(runs: Sequence[Specification]) -> int:
    settings = runs[0].settings
    if settings.device == "cpu":
        return max(1, min(len(machine.cores()) // settings.threads, len(runs)))
    return 1


def _together(run: Specification, tell: Tell) -> Outcome:
    """One run that several processes share, this one among them."""
    outcome = Outcome(run, run_here(run, lambda now: tell(run, now), Stop()), None)
    tell(run, outcome)
    return outcome


@contextmanager
def _shown(runs: Sequence[Specification]) -> Iterator[Tell]:
    """A bar for each run that has begun, on a terminal; elsewhere a line where it begins, a few on the way, and one at its end."""
    out = Console(stderr=True, highlight=False)
    if not distributed.first():
        yield lambda run, now: None
    elif out.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=out) as bars:
            tasks = {run.title: bars.add_task(run.title, total=run.recipe.iterations, visible=False, start=False, now="") for run in runs}

            def tell(run: Specification, now: Progress | Outcome) -> None:
                task = tasks[run.title]
                if isinstance(now, Progress):
                    if not bars.tasks[task].started:
                        bars.start_task(task)
                    bars.update(task, completed=now.iteration, visible=True, now=_words(now))
                elif now.failure:
                    bars.update(task, visible=True, now=f"[red]{escape(now.failure)}[/]")

            yield tell
    else:
        yield _Lines()


class _Lines:
    """Progress where there is no terminal."""

    def __init__(self) -> None:
        self._eighths: dict[str, int] = {}

    def __call__(self, run: Specification, now: Progress | Outcome) -> None:
        if isinstance(now, Outcome):
            text = now.failure or f"record {os.path.relpath(now.record or '')}"
        else:
            eighth = 8 * now.iteration // run.recipe.iterations
            if eighth == self._eighths.get(run.title):
                return
            self._eighths[run.title] = eighth
            text = f"{now.iteration:,d} of {run.recipe.iterations:,d} iterations, {_words(now)}"
            if now.rate:
                text += f", {(run.recipe.iterations - now.iteration) * run.recipe.batch / now.rate:,.0f} s left"
        print(f"{run.title}: {text}", file=sys.stderr, flush=True)


def _words(now: Progress) -> str:
    return f"error {now.error:5.1f} %" + (f", {now.rate:,.0f} images/s" if now.rate else "")
