"""The data sets that have a name, from scikit-learn and torchvision, with their checksums."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from repro.data.caching import cache_folder
from repro.data.datasets import Split, from_arrays
from repro.errors import ReproError

#: MD5 of the decompressed files, so that it doesn't matter who compressed them.
IDX_FILES = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def load_named(name: str, root: Path | None, *, download: bool) -> tuple[Split, Split]:
    """The training and the test set of one of ``records.DATA_NAMES``.

    ``root`` defaults to the cache folder. Raises ReproError where files are missing or damaged, with the cure.
    """
    if name == "digits":
        if root is not None:
            raise ReproError("digits come with scikit-learn and have no folder; leave --root away")
        return load_digits()
    if root is not None and not root.is_dir():
        raise ReproError(f"--root {root}: no such folder; expected one that holds {_layout(name)}, or an empty one to download into")
    folder = root or cache_folder()
    return _load_idx(name, folder, download) if name in IDX_FILES else _load_cifar(name, folder, download)


def load_digits() -> tuple[Split, Split]:
    """1,797 handwritten digits of 8x8 pixels that come with scikit-learn: 1,437 to train and 360 to test, stratified, always the same.

    Their 17 levels of grey become 0 to 255.
    """
    from sklearn.datasets import load_digits as embedded
    from sklearn.model_selection import train_test_split

    digits = embedded()
    images = (digits.images.astype(np.int64) * 255 // 16).astype(np.uint8)
    train, test, train_labels, test_labels = train_test_split(images, digits.target, test_size=360, random_state=0, stratify=digits.target)
    return from_arrays(train, train_labels), from_arrays(test, test_labels)


def _load_idx(name: str, folder: Path, download: bool) -> tuple[Split, Split]:
    """MNIST's format, compressed or not, in torchvision's folder or in ``folder`` itself."""
    places = (folder / TORCHVISION[name] / "raw", folder)
    paths = _find_idx(name, places)
    if len(paths) < len(IDX_FILES[name]):
        _download(name, folder, download)
        paths = _find_idx(name, places[:1])
    arrays = {file: _read_idx(path, IDX_FILES[name][file]) for file, path in paths.items()}
    splits = [from_arrays(arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"]) for part in ("train", "t10k")]
    return splits[0], splits[1]


def _find_idx(name: str, places: tuple[Path, ...]) -> dict[str, Path]:
    """Each file by its name, in the first place that has it."""
    candidates = [(file, place / f"{file}{suffix}") for file in IDX_FILES[name] for place in places for suffix in ("", ".gz")]
    return {file: path for file, path in reversed(candidates) if path.is_file()}


def _read_idx(path: Path, md5: str) -> np.ndarray:
    """An IDX file of bytes: a magic number whose last byte counts the dimensions, the dimensions (big-endian), the values."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, f"doesn't decompress ({error})") from None
    if (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != md5:
        raise _damaged(path, f"has {len(content):,d} bytes with MD5 {found}, expected {md5}")
    dimensions = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(dimensions)).reshape(dimensions)


def _load_cifar(name: str, folder: Path, download: bool) -> tuple[Split, Split]:
    import torchvision.datasets
    from torchvision.datasets.utils import check_integrity

    source = getattr(torchvision.datasets, TORCHVISION[name])
    wanted = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
    paths = {folder / source.base_folder / file: md5 for file, md5 in wanted}
    for path, md5 in paths.items():
        if path.exists() and not check_integrity(path, md5):
            raise _damaged(path, f"has another MD5 than {md5}")
    if not all(path.exists() for path in paths):
        archive = folder / source.filename
        if archive.exists() and not check_integrity(archive, source.tgz_md5):
            raise _damaged(archive, f"has another MD5 than {source.tgz_md5}")
        _download(name, folder, download or archive.exists())
    loaded = [_torchvision(name, folder, train=train) for train in (True, False)]
    splits = [from_arrays(part.data, np.asarray(part.targets)) for part in loaded]
    return splits[0], splits[1]


def _download(name: str, folder: Path, allowed: bool) -> None:
    """Through torchvision, which verifies what it downloads."""
    cure = f"give --root with a folder that holds {_layout(name)}"
    if not allowed:
        raise ReproError(f"{name} isn't in {folder}, and downloads are off; {cure}")
    print(f"{name}: fetching it with torchvision into {folder}, once", file=sys.stderr)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _torchvision(name, folder, download=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReproError(f"{name} could not be fetched into {folder}: {reason}; {cure}, or try again with a network") from None


def _torchvision(name: str, folder: Path, **options: bool) -> Any:
    """The data set as torchvision's class; what that prints goes to standard error."""
    import torchvision.datasets

    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # numpy 2.4.0 to 2.4.4 warn of how CIFAR's files were pickled, a deprecation since taken back
        return getattr(torchvision.datasets, TORCHVISION[name])(folder, **options)


def _layout(name: str) -> str:
    if name in IDX_FILES:
        return f"{TORCHVISION[name]}/raw/ as torchvision has it, or the four files ({', '.join(IDX_FILES[name])}, .gz or not)"
    number = name.removeprefix("cifar")
    return f"cifar-{number}-python.tar.gz" + (" or cifar-10-batches-py/" if number == "10" else " or cifar-100-python/")


def _damaged(path: Path, how: str) -> ReproError:
    return ReproError(f"{path} {how}: truncated or altered; delete it, then run again or copy it anew")
