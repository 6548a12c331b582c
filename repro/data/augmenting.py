"""H15 section 4.2: pad, crop at random, mirror at random, subtract the per-pixel mean; a whole batch at a time, on the device.

All randomness follows from (seed, iteration) through hashing. So the networks of a seed see identical batches, and a run
that goes on needs no stored state.
"""

from __future__ import annotations

import functools
import hashlib

import torch
from torch import Tensor

from repro.data.datasets import Dataset

#: Images whose pixels are summed at a time: 256 * 255**2 < 2**24, so float32, which every device has, holds the sums exactly.
CHUNK = 256


class Feeder:
    """Batches of the training set, and the same normalisation for any other images.

    Lives on the device of ``dataset``. ``pad`` is in pixels on each side; ``mirror`` turns half of the images around.
    ``mean`` is per pixel (H, W, 3) and ``scale`` 1 / standard deviation of (image - mean), both over the training images. The
    paper subtracts the mean and prints no division; conv1 has no bias and a batch normalisation after it, so the division by
    one number changes what the network computes through that layer's eps only.
    """

    def __init__(self, dataset: Dataset, *, pad: int, mirror: bool) -> None:
        images = dataset.train.images
        self.pad, self.mirror, self.labels = pad, mirror, dataset.train.labels
        self.mean, std = mean_and_std(images)
        self.scale = 1 / std if std else 1.0
        n, height, width, channels = images.shape
        padded = images.new_zeros(n, height + 2 * pad, width + 2 * pad, channels)
        padded[:, pad : pad + height, pad : pad + width] = images
        padded_mean = self.mean.new_zeros(padded.shape[1:])
        padded_mean[pad : pad + height, pad : pad + width] = self.mean
        self._crops, self._mean_crops = _windows(padded, height, width), _windows(padded_mean[None], height, width)[0]

    def batch(self, seed: int, iteration: int, size: int) -> tuple[Tensor, Tensor]:
        """The images, float32 (size, 3, H, W) in channels-last memory, and labels, int64 (size,), of an iteration counted from 0."""
        indices = batch_indices(seed, iteration, size, len(self.labels))
        drawn = torch.stack([indices, *draw(seed, iteration, size, self.pad, self.mirror)]).to(self.labels.device, non_blocking=True)
        return self.augmented(*drawn), self.labels[drawn[0]]

    def augmented(self, indices: Tensor, top: Tensor, left: Tensor, turned: Tensor) -> Tensor:
        """Training images cut from the padded ones at ``top`` and ``left`` (0 to 2 * pad), then mirrored where ``turned`` isn't 0.

        All arguments are int64 (B,); the result is float32 (B, 3, H, W). Padding is zero after the mean is subtracted.
        """
        images = self._crops[indices, top, left].float().sub_(self._mean_crops[top, left]).mul_(self.scale)
        if self.mirror:
            images = torch.where(turned.bool()[:, None, None, None], images.flip(2), images)
        return images.permute(0, 3, 1, 2)

    def plain(self, images: Tensor) -> Tensor:
        """Images of any split, uint8 (B, H, W, 3), without augmentation: float32 (B, 3, H, W) in channels-last memory."""
        return images.to(self.mean.device).float().sub_(self.mean).mul_(self.scale).permute(0, 3, 1, 2)


def batch_indices(seed: int, iteration: int, size: int, n: int) -> Tensor:
    """Which of ``n`` images an iteration sees, int64 (size,).

    Epochs follow each other without a gap, so batches are always full and one may hold the end of an epoch and the start of the next.
    """
    first, last = iteration * size, (iteration + 1) * size
    epochs = range(first // n, (last - 1) // n + 1)
    return torch.cat([order(seed, epoch, n)[max(first - epoch * n, 0) : last - epoch * n] for epoch in epochs])


@functools.lru_cache(maxsize=4)
def order(seed: int, epoch: int, n: int) -> Tensor:
    """The order of ``n`` images in an epoch counted from 0: int64 (n,), not to be written to."""
    return torch.randperm(n, generator=_generator("order", seed, epoch))


def draw(seed: int, iteration: int, size: int, pad: int, mirror: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Top and left of each crop, 0 to 2 * pad, and 1 for an image that is mirrored: int64 (size,) each."""
    generator = _generator("augmentation", seed, iteration)
    top, left = torch.randint(2 * pad + 1, (2, size), generator=generator)
    return top, left, torch.randint(2 if mirror else 1, (size,), generator=generator)


def mean_and_std(images: Tensor) -> tuple[Tensor, float]:
    """Per-pixel mean, float32 (H, W, C), and the standard deviation of (image - mean) over everything, of uint8 images (N, H, W, C).

    The sums are exact, hence the same on every device and in every order.
    """
    n, total, squares = len(images), *torch.zeros(2, *images.shape[1:], dtype=torch.int64, device=images.device)
    for chunk in torch.split(images, CHUNK):
        values = chunk.float()
        total += values.sum(0).long()
        squares += values.square_().sum(0).long()
    between = sum(value * value for value in total.flatten().tolist())
    variance = (n * int(squares.sum()) - between) / (n * images.numel())
    return (total.cpu().double() / n).float().to(images.device), variance**0.5


def _windows(padded: Tensor, height: int, width: int) -> Tensor:
    """A view (N, tops, lefts, height, width, C) of images (N, H, W, C): each crop at its own index. A crop's rows stay whole."""
    return padded.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)


def _generator(what: str, seed: int, counter: int) -> torch.Generator:
    """On the CPU wherever the data are, so that every device sees the same batches."""
    digest = hashlib.sha256(f"{what} {seed} {counter}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
