"""What a data set is, and how it is found by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from repro.errors import ReproError, UnknownName
from repro.records import DATA_NAMES

#: A digit that is mirrored is no digit any more.
NOT_MIRRORED = ("digits", "mnist")


@dataclass(frozen=True, slots=True)
class Split:
    """``images`` are uint8 (N, H, W, 3), contiguous; ``labels`` are int64 (N,), 0 to classes - 1."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same on a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images for training and testing. ``mirror`` and ``pad`` (pixels) say which augmentation makes sense.

    ``checksum`` is the SHA-256 of all images, labels and shapes, taken before the validation images leave the training set.
    """

    name: str
    train: Split
    test: Split
    validation: Split | None
    classes: int
    checksum: str
    mirror: bool
    pad: int

    def to(self, device: torch.device | str) -> Dataset:
        """The same on a device."""
        validation = self.validation and self.validation.to(device)
        return replace(self, train=self.train.to(device), test=self.test.to(device), validation=validation)


def load(
    name: str,
    root: Path | None = None,
    *,
    validation: bool = False,
    size: int | None = None,
    skip_bad: bool = False,
    download: bool = True,
) -> Dataset:
    """A data set by its name: one of ``records.DATA_NAMES``, or ``folder:PATH``.

    ``root`` is the folder that holds, or will hold, the files of a named data set. ``validation`` holds a tenth of the training
    set out, the same for all runs. ``size`` (pixels, square) and ``skip_bad`` are for folders, see ``folders.load_folder``.
    Raises UnknownName, and ReproError where files are missing, damaged or don't decode.
    """
    from repro.data import folders, sources

    path = name.removeprefix("folder:")
    if path == name and name not in DATA_NAMES:
        raise UnknownName("data", name, (*DATA_NAMES, "folder:PATH"))
    if path == name and size is not None:
        raise ReproError(f"--size {size} is for folder:PATH; the images of {name} have one size, leave it away")
    if path != name and root is not None:
        raise ReproError(f"--root {root} is for {', '.join(DATA_NAMES[1:])}; {name} names its folder itself, leave it away")
    try:
        if path == name:
            train, test = sources.load_named(name, root, download=download)
            return _assemble(name, train, test, 100 if name == "cifar100" else 10, validation)
        stem, train, test, classes = folders.load_folder(Path(path), size=size, skip_bad=skip_bad)
    except OSError as error:
        raise ReproError(f"{name} can't be read: {error.filename or 'a file'}: {error.strerror or error}") from None
    return _assemble(f"{stem}-folder" if stem in DATA_NAMES else stem, train, test, classes, validation)


def checksum(train: Split, test: Split) -> str:
    """SHA-256 of both splits: shapes, images, and labels as little-endian int64."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(f"{tuple(split.images.shape)}".encode())
        digest.update(split.images.contiguous().numpy().data)
        digest.update(split.labels.numpy().astype("<i8").data)
    return digest.hexdigest()


def from_arrays(images: np.ndarray, labels: np.ndarray) -> Split:
    """A split from uint8 images, grey (N, H, W) or colour (N, H, W, 3), and labels. Grey is repeated to three channels."""
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=3)
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))


def _assemble(name: str, train: Split, test: Split, classes: int, validation: bool) -> Dataset:
    whole, held_out = checksum(train, test), None
    if validation:
        train, held_out = _hold_out(train)
    pad = -(-max(train.images.shape[1:3]) // 8)  # the paper's 4 of 32 pixels, rounded up
    return Dataset(name, train, test, held_out, classes, whole, name not in NOT_MIRRORED, pad)


def _hold_out(train: Split) -> tuple[Split, Split]:
    """A tenth of the training set apart, with a seed that never changes. RandomState's stream is frozen by numpy's policy."""
    order = np.random.RandomState(0).permutation(len(train))
    tenth = len(train) // 10
    held, kept = (torch.from_numpy(np.sort(part)) for part in (order[:tenth], order[tenth:]))
    return Split(train.images[kept], train.labels[kept]), Split(train.images[held], train.labels[held])
