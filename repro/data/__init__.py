"""Images and labels, as uint8 tensors that go to the device once.

``datasets``    what a data set is, and ``load`` by name
``sources``     digits (embedded), MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100
``folders``     anybody's images: train/ and test/ with a folder for each class
``augmenting``  batches on the device: pad, crop, mirror, subtract the per-pixel mean
"""

from repro.data.augmenting import Feeder
from repro.data.datasets import Dataset, Split, load

__all__ = ["Dataset", "Feeder", "Split", "load"]
