"""The calls that are timed: what they compute, in which dtype and layout, and that a training step trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from bench import jobs, workload
from bench.workload import fold, make, make_images, prepare, use_tf32
from repro import machine
from repro.building import build
from repro.tables import load_ledger
from repro.throughput.timing import Configuration, DType, Layout, Task
from repro.training import initialise

DTYPES: tuple[DType, ...] = ("float32", "bfloat16", "float16")
LAYOUTS: tuple[Layout, ...] = ("contiguous", "channels_last")


pytestmark = pytest.mark.usefixtures("torch_as_it_was")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that were built."""
    made: list[nn.Module] = []
    build: Callable[[Any], nn.Module] = vars(workload)["build"]

    def keep(network: Any) -> nn.Module:
        made.append(build(network))
        return made[-1]

    monkeypatch.setattr(workload, "build", keep)
    return made


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The losses of the training steps."""
    seen: list[Tensor] = []
    cross_entropy = nn.functional.cross_entropy

    def keep(scores: Tensor, labels: Tensor) -> Tensor:
        loss = cross_entropy(scores, labels)
        seen.append(loss.detach())
        return loss

    monkeypatch.setattr(workload, "cross_entropy", keep)
    return seen


def configure(network: str, task: Task, **changes: Any) -> Configuration:
    configuration = Configuration(network=network, task=task, device="cpu", batch=4, threads=1).model_copy(update=changes)
    if (reason := jobs.impossible(configuration)) is not None:
        pytest.skip(reason)
    return configuration


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("network", ["resnet20", "lenet5"])
def test_inference_gives_scores_in_its_dtype_by_a_network_in_evaluation_mode(
    built: list[nn.Module], network: str, layout: Layout, dtype: DType
) -> None:
    infer = prepare(configure(network, "inference", layout=layout, dtype=dtype))
    scores = cast(Tensor, infer())
    assert scores.shape == (4, 10)
    assert scores.isfinite().all()
    assert scores.is_inference(), "nothing is kept for gradients"
    assert len({tuple(row) for row in scores.tolist()}) == 4, "the images differ"
    (net,) = built
    assert {parameter.dtype for parameter in net.parameters()} == {scores.dtype} == {workload.DTYPES[dtype]}
    assert not any(module.training for module in net.modules())


@pytest.mark.parametrize("task", ["inference", "training"])
def test_weights_and_images_are_laid_out_as_asked(built: list[nn.Module], task: Task) -> None:
    for layout in LAYOUTS:
        configuration = configure("resnet20", task, layout=layout)
        prepare(configuration)
        images, weight = make_images(configuration), next(built[-1].parameters())
        for tensor in (images, weight):
            assert tensor.is_contiguous(memory_format=torch.channels_last) is (layout == "channels_last")
            assert tensor.is_contiguous() is (layout == "contiguous")


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_are_noise_of_the_networks_size_in_the_dtype_that_the_device_gets(dtype: DType) -> None:
    inference, training = (make_images(configure("resnet20", task, dtype=dtype)) for task in ("inference", "training"))
    assert inference.shape == training.shape == (4, 3, 32, 32)
    assert (inference.dtype, training.dtype) == (workload.DTYPES[dtype], torch.float32), "autocast casts them"
    assert 0.9 < float(training.std()) < 1.1
    assert training.equal(make_images(configure("resnet20", "training", dtype=dtype))), "the same noise each time"


@pytest.mark.parametrize("network", ["lenet5", "resnet20", "alexnet"])
def test_weights_are_those_of_a_network_that_torch_initialised_before(network: str) -> None:
    """Memory that nobody has written to is NaN here."""
    row = load_ledger().network(network)
    torch.use_deterministic_algorithms(True)
    try:
        made = make(row).state_dict()
    finally:
        torch.use_deterministic_algorithms(False)
    expected = build(row)
    initialise(expected, 0)
    for name, tensor in expected.state_dict().items():
        assert made[name].equal(tensor), name


def test_torch_does_not_draw_what_is_drawn_again() -> None:
    before = torch.get_rng_state()
    make(load_ledger().network("lenet5"))
    assert torch.get_rng_state().equal(before), "the weights come from a generator of their own"


@pytest.mark.parametrize("network", ["resnet20", "plain20", "resnet18"])
def test_folded_batch_normalisation_changes_no_score(network: str) -> None:
    row = load_ledger().network(network)
    net, images = make(row).eval(), torch.randn(2, *row.input, generator=torch.Generator().manual_seed(1))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.rand_like(cast(Tensor, module.running_mean)) * 10
            module.running_var = torch.rand_like(cast(Tensor, module.running_var)) + 0.5
    with torch.inference_mode():
        expected = net(images)
        folded = fold(net)
        found = folded(images)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(found, expected, rtol=0.0, atol=1e-5 * float(expected.abs().max()))


def test_only_compiled_inference_is_folded(built: list[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    given, frozen = list[nn.Module](), list[bool]()

    def keep(net: nn.Module, threads: int, freezing: bool) -> nn.Module:
        given.append(net)
        frozen.append(freezing)
        return net

    monkeypatch.setattr(workload, "_compile", keep)
    tasks: tuple[Task, ...] = ("inference", "training")
    for task in tasks:
        prepare(configure("resnet20", task, compiled=True))
    normalised = [any(isinstance(module, nn.BatchNorm2d) for module in net.modules()) for net in given]
    assert normalised == [False, True]
    assert frozen == [True, False], "only in inference weights are constants"
    prepare(configure("resnet20", "inference"))
    assert any(isinstance(module, nn.BatchNorm2d) for module in built[-1].modules())


def trains(built: list[nn.Module], losses: list[Tensor], configuration: Configuration, steps: int) -> None:
    """Holds that so many steps change every weight, by losses that are numbers."""
    step = prepare(configuration)
    (net,) = built
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    for _ in range(steps):
        step()
    assert all(module.training for module in net.modules())
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert [name for name, parameter in net.named_parameters() if parameter.detach().equal(before[name])] == []
    assert all(parameter.isfinite().all() for parameter in net.parameters())
    assert all(loss.isfinite() for loss in losses)
    assert float(losses[-1]) != float(losses[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("network", ["resnet20", "lenet5"])
def test_a_training_step_changes_every_weight_and_its_loss_is_a_number(
    built: list[nn.Module], losses: list[Tensor], network: str, layout: Layout, dtype: DType
) -> None:
    trains(built, losses, configure(network, "training", layout=layout, dtype=dtype), 3)


def test_training_in_float16_finds_a_scale_at_which_gradients_are_numbers(built: list[nn.Module], losses: list[Tensor]) -> None:
    trains(built, losses, configure("lenet5", "training", dtype="float16"), 20)


def test_training_learns_its_batch(losses: list[Tensor]) -> None:
    step = prepare(configure("resnet20", "training"))
    for _ in range(30):
        step()
    assert float(losses[-1]) < 0.7 * float(losses[0]), "gradients are those of this step alone"


def test_convolutions_of_a_training_step_run_in_the_dtype_of_autocast(built: list[nn.Module]) -> None:
    for dtype in ("float32", "bfloat16"):
        step = prepare(configure("resnet20", "training", dtype=dtype))
        seen: set[torch.dtype] = set()
        convolution = next(module for module in built[-1].modules() if isinstance(module, nn.Conv2d))
        convolution.register_forward_hook(lambda module, given, found, seen=seen: seen.add(found.dtype))
        step()
        assert seen == {workload.DTYPES[dtype]}


@pytest.mark.parametrize(("dtype", "scales"), [("float32", False), ("bfloat16", False), ("float16", True)])
def test_only_gradients_in_float16_are_scaled(monkeypatch: pytest.MonkeyPatch, dtype: DType, scales: bool) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: asked.append((device, enabled)))
    prepare(configure("lenet5", "training", dtype=dtype))
    assert asked == [("cpu", scales)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_runs_on_as_many_threads_as_asked(threads: int) -> None:
    prepare(configure("lenet5", "inference", threads=threads))
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("dtype", "precision"), [("tf32", "tf32"), ("float32", "ieee"), ("bfloat16", "ieee")])
def test_tf32_is_on_for_products_and_convolutions_or_off_for_both(dtype: str, precision: str) -> None:
    use_tf32(precision != "tf32")  # the other way round first
    prepare(
        Configuration.model_validate({"network": "lenet5", "task": "inference", "device": "cpu", "batch": 1, "threads": 1, "dtype": dtype})
    )
    assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is (precision == "tf32")


@pytest.mark.slow
@pytest.mark.skipif(not machine.has_compiler(), reason="needs a compiler")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_code_computes_what_eager_code_does(losses: list[Tensor], dtype: DType) -> None:
    def both(task: Task) -> tuple[Callable[[], object], Callable[[], object]]:
        eager, compiled = (prepare(configure("resnet20", task, dtype=dtype, compiled=compiled)) for compiled in (False, True))
        return eager, compiled

    tolerance = 1e-4 if dtype == "float32" else 0.1
    eager, compiled = both("inference")
    expected, found = cast(Tensor, eager()), cast(Tensor, compiled())
    assert found.dtype == expected.dtype
    assert torch.allclose(found.float(), expected.float(), rtol=0.0, atol=tolerance * float(expected.abs().max()))
    for step in both("training"):
        for _ in range(3):
            step()
    assert [float(loss) for loss in losses[3:6]] == pytest.approx([float(loss) for loss in losses[:3]], rel=tolerance)
