"""MNIST: what the set holds, and what torchvision gives for one of its images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torchvision import transforms
from torchvision.datasets import MNIST

from repro.data import load
from repro.errors import ReproError
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, Unavailable

FEW = {"train": 3, "t10k": 2}


def one_image() -> Numbers:
    """What torchvision's class gives for an image, on files of MNIST's format with a few random images; no MNIST is needed."""
    with tempfile.TemporaryDirectory() as folder:
        _write_few(Path(folder) / "MNIST" / "raw")
        plain, test = MNIST(folder, train=True), MNIST(folder, train=False)
        turned = MNIST(folder, train=True, transform=transforms.ToTensor())
        item, (tensor, label) = plain[0], turned[0]
    return {
        "is_tuple": int(isinstance(item, tuple)),
        "is_list": int(isinstance(item, list)),
        "values": len(item),
        "is_tensor_as_given": int(isinstance(item[0], torch.Tensor)),
        "is_tensor_after_to_tensor": int(isinstance(tensor, torch.Tensor)),
        "channels": tensor.shape[0],
        "height": tensor.shape[1],
        "width": tensor.shape[2],
        "label_is_integer": int(isinstance(label, int)),
        "test_is_alike": int(type(test[0]) is type(item) and test[0][0].size == item[0].size and isinstance(test[0][1], int)),
    }


def whole_set(root: Path | None) -> Numbers:
    """The real files: images, labels and sizes. Raises Unavailable where they aren't."""
    try:
        data = load("mnist", root, download=False)
    except ReproError as error:
        raise Unavailable(str(error)) from None
    return {
        "train": len(data.train.labels),
        "test": len(data.test.labels),
        "height": data.train.images.shape[1],
        "width": data.train.images.shape[2],
        "classes": int((data.train.labels.bincount() > 0).sum()),
        "rarest": int(data.train.labels.bincount().min()),
        "most_frequent": int(data.train.labels.bincount().max()),
    }


CHECKS = {"one_image": one_image}
WITH_DATA = {"whole_set": whole_set}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """None: the figure of this topic shows the trainings."""
    return []


def _write_few(folder: Path) -> None:
    """The four files of MNIST with a few random images."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in FEW.items():
        images, labels = random.integers(0, 256, (count, 28, 28), np.uint8), random.integers(0, 10, count, np.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = np.array([0x0800 + values.ndim, *values.shape], ">u4").tobytes()
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())
