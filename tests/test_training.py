"""The loop: the paper's step and no other, the same bits each time, and the same bits after an interruption."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from repro import training
from repro.building import build
from repro.checkpoints import before
from repro.data import Dataset, Feeder, load
from repro.errors import CheckpointError
from repro.experiment import find_network
from repro.measuring import evaluate, gradient_layers
from repro.recipe import paper_recipe
from repro.records import Record, Settings, load_records, write_record
from repro.training import Run, State, autocast, initialise, train

PLAIN = Settings(device="cpu", dtype="float32", layout="contiguous", compile=False, threads=1)
FAST = Settings(device="cpu", dtype="bfloat16", layout="channels_last", compile=False, threads=1)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", validation=True)


def a_run(data: Dataset, network: str = "resnet8", seed: int = 0, settings: Settings = PLAIN, iterations: int = 16, **changes: Any) -> Run:
    recipe = replace(paper_recipe(8, iterations, pad=data.pad, mirror=data.mirror), **changes)
    return Run(find_network(network), seed, recipe, data, settings)


def results(record: Record) -> dict[str, Any]:
    """A record without what depends on time."""
    return record.model_dump(exclude={"rate", "wall_seconds", "starts", "environment"})


def weights(net: nn.Module) -> list[Tensor]:
    return [net.get_parameter(f"{name}.weight").detach() for name in gradient_layers(net)]


# ---------------------------------------------------------------- initialisation


def test_weights_have_variance_two_over_fan_in() -> None:
    net = build(find_network("resnet20"))
    initialise(net, 0)
    scaled = [weight.flatten() * (weight[0].numel() / 2) ** 0.5 for weight in weights(net)]
    assert torch.cat(scaled).std().item() == pytest.approx(1, abs=0.01)
    assert torch.cat(scaled).mean().item() == pytest.approx(0, abs=0.01)
    assert all(layer.std().item() == pytest.approx(1, abs=5 / len(layer) ** 0.5) for layer in scaled)
    assert not net.get_parameter("fc.bias").any()


def test_plain_and_residual_networks_of_a_seed_start_from_the_same_weights() -> None:
    nets = [build(find_network(name)) for name in ("plain20", "resnet20", "resnet20")]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        initialise(net, seed)
    plain, residual, other = (weights(net) for net in nets)
    assert len(plain) == 20
    assert all(torch.equal(a, b) for a, b in zip(plain, residual, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(residual, other, strict=True))


# ---------------------------------------------------------------- the step


def test_the_loop_is_the_papers_update_written_by_hand(digits: Dataset, tmp_path: Path) -> None:
    run = a_run(digits, drops=(2, 3))
    record = train(run, tmp_path / "a.pt")

    net = build(run.network)
    initialise(net, run.seed)
    velocities = [torch.zeros_like(p) for p in net.parameters()]
    feeder, losses, norms = Feeder(digits, pad=1, mirror=False), [], []
    for i, lr in enumerate((0.1, 0.1, 0.01, 0.001)):
        images, labels = feeder.batch(run.seed, i, 128)
        loss = cross_entropy(net(images.contiguous()), labels)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        losses.append(loss.item())
        by_name = dict(zip((name for name, _ in net.named_parameters()), gradients, strict=True))
        norms.append([by_name[f"{name}.weight"].square().sum().sqrt().item() for name in gradient_layers(net)])
        with torch.no_grad():
            for weight, velocity, gradient in zip(net.parameters(), velocities, gradients, strict=True):
                velocity.mul_(0.9).add_(gradient + 1e-4 * weight)
                weight.sub_(lr * velocity)

    assert record.recipe.log_every == 1
    assert record.curves.train.loss[:4] == pytest.approx(losses, rel=1e-4)
    assert record.gradients.iteration == tuple(range(16))
    for i in range(4):
        assert record.gradients.norm[i] == pytest.approx(norms[i], rel=1e-2)


def test_a_point_of_the_running_curve_is_the_mean_of_its_interval(digits: Dataset, tmp_path: Path) -> None:
    each, some = (train(a_run(digits, iterations=18, log_every=n, test_every=8), tmp_path / "a.pt").curves for n in (1, 4))
    assert some.train.iteration == (4, 8, 12, 16, 18)
    for start, end, loss, error in zip((0, 4, 8, 12, 16), some.train.iteration, some.train.loss, some.train.error, strict=True):
        assert loss == pytest.approx(sum(each.train.loss[start:end]) / (end - start), rel=1e-5)
        assert error == pytest.approx(sum(each.train.error[start:end]) / (end - start), rel=1e-5)
    assert some.test.iteration == (8, 16, 18), "it ends at the last iteration, whatever the interval"
    assert some.validation is not None
    assert some.validation.iteration == (8, 16, 18)
    assert some.test == each.test


def test_the_warm_up_ends_for_good_when_the_running_error_falls(digits: Dataset, tmp_path: Path) -> None:
    rates: list[float] = []
    run = a_run(digits, warm_up_lr=0.01, warm_up_error=80.0, iterations=32)
    record = train(run, tmp_path / "a.pt", tell=lambda state: rates.append(state.optimizer.param_groups[0]["lr"]))
    below = next(i for i, error in enumerate(record.curves.train.error) if error < 80)
    assert 0 < below < 15
    assert rates[: below + 1] == [0.01] * (below + 1)
    assert rates[below + 1 : 16] == [0.1] * (15 - below)


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("settings", [PLAIN, FAST], ids=["plain", "fast"])
def test_a_seed_gives_the_same_bits_each_time_and_another_seed_others(digits: Dataset, tmp_path: Path, settings: Settings) -> None:
    first, again, other = (train(a_run(digits, seed=seed, settings=settings), tmp_path / "a.pt") for seed in (0, 0, 1))
    assert results(first) == results(again)
    assert first.loss_trace != other.loss_trace


def test_the_networks_of_a_seed_see_the_same_batches(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256()

    class Watched(Feeder):
        def batch(self, seed: int, iteration: int, size: int) -> tuple[Tensor, Tensor]:
            images, labels = super().batch(seed, iteration, size)
            digest.update(images.numpy().tobytes() + labels.numpy().tobytes())
            return images, labels

    monkeypatch.setattr(training, "Feeder", Watched)
    seen = {}
    for network, seed in [("plain8", 0), ("resnet8", 0), ("plain14", 0), ("resnet14", 0), ("resnet8", 1)]:
        digest = hashlib.sha256()
        train(a_run(digits, network, seed), tmp_path / "a.pt")
        seen[network, seed] = digest.hexdigest()
    assert len({value for (_, seed), value in seen.items() if seed == 0}) == 1
    assert seen["resnet8", 0] != seen["resnet8", 1]


# ---------------------------------------------------------------- interruptions


def every(n: int) -> Callable[[], bool]:
    """Says that it's time to stop after each ``n``-th iteration."""
    count: Iterator[int] = itertools.count(1)
    return lambda: next(count) % n == 0


def train_in_pieces(run: Run, checkpoint: Path, n: int) -> Record:
    while True:
        try:
            return train(run, checkpoint, stopping=every(n))
        except KeyboardInterrupt:
            assert checkpoint.exists()


@pytest.mark.parametrize("settings", [PLAIN, FAST], ids=["plain", "fast"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_run_in_pieces_ends_where_a_whole_one_does(digits: Dataset, tmp_path: Path, settings: Settings, pieces: int) -> None:
    run = a_run(digits, settings=settings, iterations=17, log_every=4, test_every=4, warm_up_lr=0.01, warm_up_error=70.0)
    whole = train(run, tmp_path / "whole.pt")
    assert not (tmp_path / "whole.pt").exists(), "a minute hasn't passed"
    parts = train_in_pieces(run, tmp_path / "parts.pt", pieces)
    assert results(parts) == results(whole)
    assert (whole.starts, parts.starts) == (1, 18 if pieces == 1 else 6)


def stop_after(n: int, run: Run, checkpoint: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(run, checkpoint, stopping=every(n))


DIFFERENT = [("dtype", "bfloat16"), ("layout", "channels_last"), ("threads", 2)]


@pytest.mark.parametrize(("name", "value"), DIFFERENT)
def test_a_checkpoint_of_other_settings_is_refused(digits: Dataset, tmp_path: Path, name: str, value: Any) -> None:
    run, checkpoint = a_run(digits), tmp_path / "a.pt"
    stop_after(2, run, checkpoint)
    with pytest.raises(CheckpointError) as raised:
        train(replace(run, settings=run.settings.model_copy(update={name: value})), checkpoint)
    torch.set_num_threads(1)
    line = f"{checkpoint}: {name} is {getattr(run.settings, name)!r}, but this run has {value!r}, and would not end where the other would; "
    assert str(raised.value) == line + "use the same, or remove the checkpoint to start again"


def test_a_checkpoint_of_another_torch_or_run_is_refused(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, checkpoint = a_run(digits), tmp_path / "a.pt"
    stop_after(2, run, checkpoint)
    with pytest.raises(CheckpointError, match=f"a.pt: run is '{run.key}', but this run has "):
        train(replace(run, seed=1), checkpoint)
    monkeypatch.setattr(torch, "__version__", "9.9")
    with pytest.raises(CheckpointError, match=r"a\.pt: torch is .* but this run has '9\.9'"):
        train(run, checkpoint)


def test_a_damaged_checkpoint_stays_and_the_one_before_goes_on(digits: Dataset, tmp_path: Path) -> None:
    run, checkpoint = a_run(digits), tmp_path / "a.pt"
    stop_after(3, run, checkpoint)
    stop_after(3, run, checkpoint)
    damaged = checkpoint.read_bytes()[:-100]
    checkpoint.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"remove it to go on from the one before it \(a\.before\.pt\)"):
        train(run, checkpoint)
    assert checkpoint.read_bytes() == damaged
    assert before(checkpoint).exists()
    checkpoint.unlink()
    assert results(train(run, checkpoint)) == results(train(run, tmp_path / "whole.pt"))


# ---------------------------------------------------------------- a loss that is not finite


@pytest.mark.parametrize("log_every", [1, 16])
def test_a_loss_that_is_not_finite_ends_the_run_and_is_recorded(digits: Dataset, tmp_path: Path, log_every: int) -> None:
    told: list[float] = []
    run = a_run(digits, lr=1e8, log_every=log_every, test_every=log_every)
    record = train(run, tmp_path / "a.pt", tell=lambda state: told.append(state.curves["train"][-1][0]))
    assert record.outcome == "not finite"
    assert record.reason in ("the loss is nan at iteration 4", "the loss is inf at iteration 4")
    assert (record.whole_train, record.responses) == (None, None)
    assert record.curves.train.iteration == ((1, 2, 3) if log_every == 1 else ())
    assert told == list(record.curves.train.iteration)
    write_record(record, tmp_path / "records")
    (found,) = load_records(tmp_path / "records")
    assert (found.reason, found.loss_trace) == (record.reason, record.loss_trace)


def test_it_is_recorded_too_where_the_process_ends_right_after_it(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, checkpoint = a_run(digits, lr=1e8, log_every=16, test_every=16), tmp_path / "a.pt"

    def killed(*_: object) -> Record:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(training, "_record", killed)
        with pytest.raises(KeyboardInterrupt):
            train(run, checkpoint)
    assert train(run, checkpoint).outcome == "not finite"


# ---------------------------------------------------------------- what is recorded


@pytest.mark.parametrize("settings", [PLAIN, FAST], ids=["plain", "fast"])
def test_a_record_holds_the_whole_run(digits: Dataset, tmp_path: Path, settings: Settings) -> None:
    states: list[State] = []
    run = a_run(digits, settings=settings, iterations=32)
    record = train(run, tmp_path / "a.pt", tell=states.append)
    assert (record.network, record.seed, record.key) == ("resnet8", 0, run.key)
    assert (record.data.train, record.data.test, record.data.validation) == (1294, 360, 143)
    assert (record.data.shape, record.data.classes, record.outcome) == ((3, 8, 8), 10, "finished")
    assert len(record.gradients.layers) == 8
    assert {len(norms) for norms in record.gradients.norm} == {8}
    assert len(record.responses.layers if record.responses else ()) == 7
    assert len(record.rate.images_per_second) == 31, "the first interval holds the compiler's time"
    assert record.loss_trace == hashlib.sha256(states[-1].losses.numpy().tobytes()).hexdigest()
    feeder = Feeder(digits, pad=1, mirror=False)
    loss, error = evaluate(states[-1].net, feeder, digits.train, autocast(settings))
    assert record.whole_train is not None
    assert (record.whole_train.loss, record.whole_train.error) == (loss, error)
    assert record.curves.test.error[-1] == evaluate(states[-1].net, feeder, digits.test, autocast(settings))[1]
    assert record.curves.train.error[-1] < 60, "it learns"
