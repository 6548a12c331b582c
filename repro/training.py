"""One network trained by one recipe, from one seed: H15 section 4.2 as a loop.

All randomness follows from the seed and the iteration. So the four networks of a seed see the same images in the same
order, and a run that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from repro import distributed
from repro.building import PaperNet, build
from repro.checkpoints import load_checkpoint, save_checkpoint
from repro.data import Dataset, Feeder
from repro.errors import CheckpointError
from repro.machine import environment
from repro.measuring import evaluate, gradient_layers, gradient_norms, response_stds
from repro.recipe import Recipe
from repro.records import Curve, Curves, Data, Gradients, Rate, Record, Responses, Score, Settings, run_key
from repro.tables import Network

CHECKPOINT_SECONDS = float(os.environ.get("REPRO_CHECKPOINT_SECONDS", "60"))
RESPONSE_IMAGES = 2_000


@dataclass(frozen=True, slots=True)
class Run:
    """What is trained. ``settings`` say how the machine is used; everything else decides what is computed."""

    network: Network
    seed: int
    recipe: Recipe
    data: Dataset
    settings: Settings

    @property
    def key(self) -> str:
        """What makes two runs the same run."""
        return run_key(self.network.name, self.seed, self.recipe, describe(self.data), self.settings.world)


@dataclass(slots=True)
class State:
    """All that changes while a network is trained. ``losses`` and ``wrong`` have one entry an iteration, 0 where none is yet."""

    net: PaperNet
    optimizer: torch.optim.SGD
    losses: Tensor
    wrong: Tensor
    iteration: int = 0
    warming_up: bool = False
    curves: dict[str, list[list[float]]] = field(default_factory=lambda: {"train": [], "test": [], "validation": []})
    gradients: list[list[float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    starts: int = 0


def train(
    run: Run,
    checkpoint: Path,
    *,
    tell: Callable[[State], None] = lambda state: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Record:
    """Trains to the end of the recipe and returns the record; goes on from ``checkpoint`` where there is one.

    ``tell`` hears of each log interval. Where ``stopping`` says so, the state is saved and KeyboardInterrupt raised.
    Raises CheckpointError where the checkpoint is damaged or belongs to a run with other settings.
    """
    run = replace(run, data=run.data.to(run.settings.device))
    recipe = run.recipe
    feeder = Feeder(run.data, pad=recipe.pad, mirror=recipe.mirror)
    state = _begin(run, checkpoint)
    net, optimizer = state.net, state.optimizer
    scores = _compiled(net, run.settings)
    began = time.monotonic() - state.seconds
    saved = interval = time.monotonic()
    first, reason = True, None

    while state.iteration < recipe.iterations:
        i = state.iteration
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(i, state.warming_up)
        images, labels = distributed.share(*feeder.batch(run.seed, i, recipe.batch))
        with autocast(run.settings):
            output = scores(images)
        loss = cross_entropy(output.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        loss, wrong = loss.detach(), (output.detach().argmax(1) != labels).float().mean()
        distributed.average([loss, wrong, *(weight.grad for weight in net.parameters() if weight.grad is not None)])
        if i % recipe.test_every == 0:
            state.gradients.append([i, *gradient_norms(net)])
        optimizer.step()
        optimizer.zero_grad()
        state.losses[i], state.wrong[i] = loss, wrong
        state.iteration = i = i + 1

        last = i == recipe.iterations
        if i % recipe.log_every == 0 or last:
            images_seen = recipe.batch * (i - _logged(state))
            reason = _log(state, recipe)  # here the host waits for the device
            if reason is not None:
                break
            if not first:  # the first interval after a start holds the compiler's time
                state.rates.append(images_seen / (time.monotonic() - interval))
            if i % recipe.test_every == 0 or last:
                _test(state, run, feeder)
            first, interval = False, time.monotonic()
            tell(state)
        stop = _stop(stopping, i, run)
        if stop or time.monotonic() - saved > CHECKPOINT_SECONDS:
            state.seconds, paused = time.monotonic() - began, time.monotonic()
            _save(state, run, checkpoint)
            saved = time.monotonic()
            interval += saved - paused
            if stop:
                raise KeyboardInterrupt

    state.seconds = time.monotonic() - began
    return _record(state, run, feeder, reason)


def describe(data: Dataset) -> Data:
    """The data as a record names it."""
    height, width, channels = data.train.images.shape[1:]
    return Data(
        name=data.name,
        checksum=data.checksum,
        train=len(data.train.labels),
        test=len(data.test.labels),
        validation=len(data.validation.labels) if data.validation else 0,
        shape=(channels, height, width),
        classes=data.classes,
    )


def initialise(net: nn.Module, seed: int) -> None:
    """Weights as in He et al. 2015: normal with variance 2 / fan-in; biases 0. Equal layers of two networks get equal weights."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def autocast(settings: Settings) -> AbstractContextManager[Any]:
    """bfloat16 where the settings say so: weights, their gradients and the statistics of batch normalisation stay float32."""
    kind = torch.device(settings.device).type
    return torch.autocast(kind, torch.bfloat16, enabled=settings.dtype == "bfloat16")


def _begin(run: Run, checkpoint: Path) -> State:
    """A fresh state, or that of the checkpoint."""
    device, recipe = torch.device(run.settings.device), run.recipe
    torch.set_num_threads(run.settings.threads)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True)
    net = build(run.network)
    initialise(net, run.seed)
    layout = torch.channels_last if run.settings.layout == "channels_last" else torch.contiguous_format
    net = net.to(device, memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(net.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True)
    empty = torch.zeros(recipe.iterations, device=device)
    state = State(net, optimizer, empty, empty.clone(), warming_up=recipe.warm_up_lr is not None)
    saved = distributed.from_first(lambda: load_checkpoint(checkpoint))
    if saved is not None:
        _restore(state, saved, run, checkpoint)
    state.starts += 1
    return state


#: The fields of a state that are plain data.
PLAIN = ("iteration", "warming_up", "curves", "gradients", "rates", "seconds", "starts")


def _identity(run: Run) -> dict[str, Any]:
    """What a checkpoint must share with the run that goes on from it."""
    return {"run": run.key, "torch": str(torch.__version__), **run.settings.model_dump()}


def _save(state: State, run: Run, path: Path) -> None:
    if not distributed.first():
        return
    content = {
        "identity": _identity(run),
        "net": state.net.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "losses": state.losses,
        "wrong": state.wrong,
        "random": torch.get_rng_state(),
        **{name: getattr(state, name) for name in PLAIN},
    }
    save_checkpoint(path, content)


def _restore(state: State, saved: dict[str, Any], run: Run, path: Path) -> None:
    for name, expected in _identity(run).items():
        if (found := saved["identity"].get(name)) != expected:
            raise CheckpointError(
                f"{path}: {name} is {found!r}, but this run has {expected!r}, and would not end where the other would; "
                "use the same, or remove the checkpoint to start again"
            )
    try:
        state.net.load_state_dict(saved["net"])
        state.optimizer.load_state_dict(saved["optimizer"])
        state.losses.copy_(saved["losses"])
        state.wrong.copy_(saved["wrong"])
        torch.set_rng_state(saved["random"])
        for name in PLAIN:
            setattr(state, name, saved[name])
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path}: written by another version ({reason}); remove it to start the run again") from None


def _compiled(net: PaperNet, settings: Settings) -> Callable[[Tensor], Tensor]:
    if not settings.compile:
        return net
    graphs = torch.device(settings.device).type == "cuda"
    return torch.compile(net, mode="reduce-overhead" if graphs else None, dynamic=False)


def _stop(stopping: Callable[[], bool], i: int, run: Run) -> bool:
    """Whether to stop after an iteration. Several devices, whose host would have to wait for them, agree at each log only."""
    if run.settings.world > 1 and run.settings.device != "cpu" and i % run.recipe.log_every:
        return False
    return distributed.anyone(stopping(), run.settings.device)


def _logged(state: State) -> int:
    train = state.curves["train"]
    return int(train[-1][0]) if train else 0


def _log(state: State, recipe: Recipe) -> str | None:
    """Adds the interval since the last log to the curve; returns why the run can't go on, if so."""
    span = slice(_logged(state), state.iteration)
    losses, wrong = state.losses[span].cpu(), state.wrong[span].cpu()
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        at = int(bad[0])
        return f"the loss is {losses[at].item()} at iteration {span.start + at + 1}"
    error = 100 * wrong.mean().item()
    state.curves["train"].append([state.iteration, losses.mean().item(), error])
    state.warming_up = state.warming_up and error >= recipe.warm_up_error
    return None


def _test(state: State, run: Run, feeder: Feeder) -> None:
    """Adds a point to the curves in evaluation mode."""
    splits = {"test": run.data.test, "validation": run.data.validation}
    for name, split in splits.items():
        if split is not None:
            state.curves[name].append([state.iteration, *evaluate(state.net, feeder, split, autocast(run.settings))])


def _record(state: State, run: Run, feeder: Feeder, reason: str | None) -> Record:
    data, finished = describe(run.data), reason is None
    whole = evaluate(state.net, feeder, run.data.train, autocast(run.settings)) if finished else None
    stds = response_stds(state.net, feeder, run.data.train.images[:RESPONSE_IMAGES], autocast(run.settings)) if finished else None
    iterations, norms = [int(row[0]) for row in state.gradients], [tuple(row[1:]) for row in state.gradients]
    return Record(
        format=1,
        kind="training",
        network=run.network.name,
        seed=run.seed,
        data=data,
        recipe=run.recipe,
        settings=run.settings,
        environment=environment(run.settings.device),
        outcome="finished" if finished else "not finite",
        reason=reason,
        curves=Curves(
            train=_curve(state.curves["train"]),
            test=_curve(state.curves["test"]),
            validation=_curve(state.curves["validation"]) if data.validation else None,
        ),
        whole_train=None if whole is None else Score(loss=whole[0], error=whole[1]),
        gradients=Gradients(layers=tuple(gradient_layers(state.net)), iteration=tuple(iterations), norm=tuple(norms)),
        responses=None if stds is None else Responses(layers=tuple(stds), std=tuple(stds.values())),
        loss_trace=hashlib.sha256(state.losses.cpu().numpy().tobytes()).hexdigest(),
        rate=Rate(images_per_second=tuple(state.rates)),
        wall_seconds=state.seconds,
        starts=state.starts,
    )


def _curve(points: list[list[float]]) -> Curve:
    iterations, losses, errors = zip(*points, strict=True) if points else ((), (), ())
    return Curve(iteration=tuple(int(i) for i in iterations), loss=losses, error=errors)
