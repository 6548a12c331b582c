"""Records: one immutable file a run, with raw curves and where they come from, in ``reports/records/<hardware>/``."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from repro.errors import ReproError
from repro.files import write_once
from repro.recipe import Recipe

FORMAT = 1

#: Data sets that have a name; a record of any other folder of images has the folder's.
DATA_NAMES = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100")


class Part(BaseModel):
    """A part of a record: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Data(Part):
    """What was trained on. ``checksum`` is over all images and labels; ``shape`` is channels, height, width."""

    name: str
    checksum: str
    train: int
    test: int
    validation: int
    shape: tuple[int, int, int]
    classes: int


class Settings(Part):
    """How the machine was used: what may change the last bit of a loss, but not what is computed. Only ``world``, the number of
    processes that share a run, changes that too: each has batch statistics of its own."""

    device: str
    dtype: Literal["float32", "bfloat16"]
    layout: Literal["contiguous", "channels_last"]
    compile: bool
    threads: int
    world: int = 1


class Environment(Part):
    """The machine by its hardware, never by a name of host, user or path, and the versions of what ran. ``cpu_model`` is empty for a
    device that isn't a CPU, and in records that are older than it."""

    hardware: str
    cpu_model: str = ""
    instructions: str
    python: str
    torch: str
    torchvision: str
    repro: str
    commit: str
    dirty: bool


class Curve(Part):
    """Means over the iterations since the point before (training), or at that iteration (test). ``error`` in per cent."""

    iteration: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    error: tuple[float, ...] = ()


class Curves(Part):
    """``train`` is the running error: augmented images, batch normalisation in training mode. The others are in evaluation mode."""

    train: Curve
    test: Curve
    validation: Curve | None


class Score(Part):
    """Mean loss, and error in per cent."""

    loss: float
    error: float


class Gradients(Part):
    """L2 norm of the gradient of each layer's weight, on the batch of some iterations; one tuple an iteration."""

    layers: tuple[str, ...]
    iteration: tuple[int, ...]
    norm: tuple[tuple[float, ...], ...]


class Responses(Part):
    """Standard deviation of the output of each 3x3 convolution after BN, before the ReLU or the addition (H15 Figure 7)."""

    layers: tuple[str, ...]
    std: tuple[float, ...]


class Rate(Part):
    """Images a second, one number a log interval, evaluation and checkpoints left out."""

    images_per_second: tuple[float, ...]


class Record(Part):
    """One training run. ``whole_train`` is the unaugmented training set in evaluation mode; ``loss_trace`` is the SHA-256 of the
    float32 losses of all iterations; ``starts`` counts how often the run was started until it ended."""

    format: Literal[1]
    kind: Literal["training"]
    network: str
    seed: int
    data: Data
    recipe: Recipe
    settings: Settings
    environment: Environment
    outcome: Literal["finished", "not finite"]
    reason: str | None
    curves: Curves
    whole_train: Score | None
    gradients: Gradients
    responses: Responses | None
    loss_trace: str
    rate: Rate
    wall_seconds: float
    starts: int

    @property
    def key(self) -> str:
        """What makes two runs the same run."""
        return run_key(self.network, self.seed, self.recipe, self.data, self.settings.world)


def run_key(network: str, seed: int, recipe: Recipe, data: Data, world: int = 1) -> str:
    """Equal where network, seed, recipe and data (with its checksum and split) are; twelve hexadecimal digits.

    So must ``world`` be: each process has batch statistics of its own, which changes what is computed.
    """
    parts = [
        network,
        seed,
        TypeAdapter(Recipe).dump_python(recipe, mode="json"),
        data.model_dump(mode="json"),
        *([world] if world > 1 else []),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def write_record(record: Record, folder: Path) -> Path:
    """Writes a record under ``folder/<hardware>/`` and returns its path; nothing that is there is overwritten."""
    name = f"{record.data.name}-{record.network}-seed{record.seed}-{record.key}.json"
    return write_once(folder / folder_of(record.environment.hardware) / name, (record.model_dump_json() + "\n").encode())


def folder_of(hardware: str) -> str:
    """The name of the folder that holds the records of some hardware."""
    return re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")


def load_records(folder: Path) -> tuple[Record, ...]:
    """All records under a folder, in the order of their paths. Raises ReproError that names a file that isn't one."""
    return tuple(read_record(path) for path in sorted(folder.glob("*/*.json")))


def read_record(path: Path) -> Record:
    """A record. Raises ReproError that names the file where it isn't one."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ReproError(
            f"{path}: {first_fault(error)}; expected a record of format {FORMAT}; remove the file or take it from git again"
        ) from None


def first_fault(error: ValidationError) -> str:
    """``curves.train.error: Input should be a valid number``: where in a file, and what, of the first fault that was found."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"


def find_record(folder: Path, key: str) -> Path | None:
    """The file of a run, whatever hardware it ran on, or None."""
    # of repeats, which have longer names, the first
    return min(folder.glob(f"*/*-{key}*.json"), key=lambda path: (len(path.name), path), default=None)
