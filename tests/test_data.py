"""The data sets from small real files, and augmentation pixel by pixel against plain loops."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import re
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from torch import Tensor

from repro.data import Dataset, Feeder, Split, load
from repro.data.augmenting import batch_indices, draw, mean_and_std
from repro.data.sources import IDX_FILES
from repro.errors import ReproError, UnknownName

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cnn-repro"


def pictures(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


# ---------------------------------------------------------------- digits and names


def test_digits_are_the_fixed_stratified_split() -> None:
    digits = load("digits")
    assert digits.train.images.shape == (1437, 8, 8, 3)
    assert digits.test.images.shape == (360, 8, 8, 3)
    assert digits.train.labels.bincount().tolist() == [142, 146, 142, 146, 145, 145, 145, 143, 139, 144]
    assert digits.test.labels.bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert digits.checksum == "ea82607fe33c647688f5ecd4b9f57c9311e2f1faf2f22a7568584c0a802eb783"
    assert (digits.name, digits.classes, digits.pad, digits.mirror, digits.validation) == ("digits", 10, 1, False, None)
    assert digits.train.images.dtype == torch.uint8
    assert digits.train.labels.dtype == torch.int64
    assert sorted(set(digits.train.images.flatten().tolist())) == [level * 255 // 16 for level in range(17)]
    assert torch.equal(digits.train.images[..., 0], digits.train.images[..., 2])


def test_validation_is_a_tenth_of_the_training_set_and_always_the_same() -> None:
    whole, parted = load("digits"), load("digits", validation=True)
    assert parted.validation is not None
    assert (len(parted.train), len(parted.validation), len(parted.test)) == (1294, 143, 360)
    assert parted.checksum == whole.checksum
    assert hashlib.sha256(parted.validation.labels.numpy().tobytes()).hexdigest()[:16] == "580c3313db30ed9e"
    both = torch.cat([parted.train.images, parted.validation.images]).flatten(1).tolist()
    assert sorted(both) == sorted(whole.train.images.flatten(1).tolist())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("digit", {}, "unknown data 'digit'; did you mean digits?"),
        ("imagenet-22k-full", {}, "there is digits, mnist, fashion-mnist, cifar10, cifar100, folder:PATH"),
        ("mnist", {"size": 32}, "--size 32 is for folder:PATH"),
        ("digits", {"root": Path("here")}, "leave --root away"),
        ("folder:there", {"root": Path("here")}, "names its folder itself"),
        ("folder:there", {}, "folder:there: no such folder or tar file; expected train/CLASS/IMAGE"),
        ("mnist", {"root": Path("nowhere")}, "--root nowhere: no such folder; expected one that holds MNIST/raw/"),
        (
            "mnist",
            {"download": False},
            "downloads are off; give --root with a folder that holds MNIST/raw/ as torchvision has it, or the four",
        ),
        ("cifar100", {"download": False}, "holds cifar-100-python.tar.gz or cifar-100-python/"),
    ],
)
def test_what_cannot_be_loaded_is_one_line_with_the_cure(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ReproError) as caught:
        load(name, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownName) == said.startswith(("unknown", "there"))


# ---------------------------------------------------------------- MNIST's and CIFAR's files


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def small_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder with four compressed files of MNIST's format, 30 and 10 images of 6x5, and what they hold."""
    folder = tmp_path / "small"
    folder.mkdir()
    held: dict[str, np.ndarray] = {}
    for part, n in (("train", 30), ("t10k", 10)):
        held |= {f"{part}-images-idx3-ubyte": pictures(n, 6, 5), f"{part}-labels-idx1-ubyte": np.arange(n, dtype=np.uint8) % 10}
    for name, values in held.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
    monkeypatch.setitem(IDX_FILES, "mnist", {name: hashlib.md5(idx(values)).hexdigest() for name, values in held.items()})
    return folder, held


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_idx_files_are_read_from_both_places_packed_or_not(small_mnist: tuple[Path, dict[str, np.ndarray]], raw: bool, place: str) -> None:
    folder, held = small_mnist
    (folder / place).mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.gz"):
        path.replace(folder / place / path.name)
        if raw:
            (folder / place / path.stem).write_bytes(gzip.decompress((folder / place / path.name).read_bytes()))
            (folder / place / path.name).unlink()
    mnist = load("mnist", folder, download=False)
    assert mnist.train.images.shape == (30, 6, 5, 3)
    assert np.array_equal(mnist.test.images[..., 1].numpy(), held["t10k-images-idx3-ubyte"])
    assert mnist.train.labels.tolist() == list(range(10)) * 3
    assert (mnist.mirror, mnist.pad) == (False, 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-30], "doesn't decompress (Compressed file ended"),
        (lambda content: b"no" + content, "doesn't decompress (Not a gzipped file"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-1]), "has 915 bytes with MD5"),
    ],
)
def test_a_damaged_idx_file_is_named(small_mnist: tuple[Path, dict[str, np.ndarray]], damage: Callable[[bytes], bytes], said: str) -> None:
    path = small_mnist[0] / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ReproError, match=rf"{re.escape(str(path))} {re.escape(said)}.*truncated or altered; delete it"):
        load("mnist", small_mnist[0])


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def offline(self: object) -> None:
        print("Trying ...")
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nno network")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", offline)
    with pytest.raises(ReproError, match=r"fashion-mnist could not be fetched .*: no network; give --root .*FashionMNIST/raw/.* a network"):
        load("fashion-mnist", tmp_path)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"fashion-mnist: fetching it with torchvision into {tmp_path}, once\n")


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """A folder with CIFAR-10's six files, 4 images each, pickled as the original ones are, and the 24 images (N, H, W, 3)."""
    source, images = torchvision.datasets.CIFAR10, pictures(24, 32, 32, 3)
    folder = tmp_path / source.base_folder
    folder.mkdir()

    def write(name: str, content: object) -> str:
        packed = pickle.dumps(content, protocol=2).replace(b"\x89\x88\x87", b"K\x00K\x01\x87")  # dtype(..., 0, 1): what numpy 2.4 warns of
        (folder / name).write_bytes(packed)
        return hashlib.md5(packed).hexdigest()

    md5s = [
        [name, write(name, {"data": rows.transpose(0, 3, 1, 2).reshape(4, 3072), "labels": [5, 6, 7, 8]})]
        for rows, name in zip(images.reshape(6, 4, 32, 32, 3), [name for name, _ in source.train_list + source.test_list], strict=True)
    ]
    monkeypatch.setattr(source, "train_list", md5s[:5])
    monkeypatch.setattr(source, "test_list", md5s[5:])
    monkeypatch.setattr(source, "meta", source.meta | {"md5": write("batches.meta", {"label_names": list("abcdefghij")})})
    return tmp_path, images


def test_cifar_is_read_from_its_folder(small_cifar: tuple[Path, np.ndarray]) -> None:
    cifar = load("cifar10", small_cifar[0], download=False)
    assert np.array_equal(cifar.train.images.numpy(), small_cifar[1][:20])
    assert np.array_equal(cifar.test.images.numpy(), small_cifar[1][20:])
    assert cifar.test.labels.tolist() == [5, 6, 7, 8]
    assert (cifar.pad, cifar.mirror, cifar.train.images.is_contiguous()) == (4, True, True)


def test_cifar_is_unpacked_where_only_the_archive_is_there(small_cifar: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    source, root = torchvision.datasets.CIFAR10, small_cifar[0]
    with tarfile.open(root / source.filename, "w:gz") as archive:
        archive.add(root / source.base_folder, source.base_folder)
    (root / source.base_folder).rename(root / "gone")
    with pytest.raises(ReproError, match=rf"{source.filename} has another MD5 than {source.tgz_md5}: truncated"):
        load("cifar10", root, download=False)
    monkeypatch.setattr(source, "tgz_md5", hashlib.md5((root / source.filename).read_bytes()).hexdigest())
    assert len(load("cifar10", root, download=False).train) == 20


def test_a_damaged_cifar_file_is_named(small_cifar: tuple[Path, np.ndarray]) -> None:
    path = small_cifar[0] / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReproError, match=rf"{path} has another MD5 than \w+: truncated or altered; delete it"):
        load("cifar10", small_cifar[0])


# ---------------------------------------------------------------- augmentation


def dataset(n: int, height: int, width: int) -> Dataset:
    split = Split(torch.from_numpy(pictures(n, height, width, 3)), torch.arange(n) % 10)
    return Dataset("random", split, split, None, 10, "", mirror=True, pad=1)


@pytest.mark.parametrize(("height", "width", "pad", "mirror"), [(8, 8, 1, False), (7, 5, 2, True), (4, 4, 0, True)])
def test_a_batch_equals_plain_loops(height: int, width: int, pad: int, mirror: bool) -> None:
    data = dataset(9, height, width)
    feeder = Feeder(data, pad=pad, mirror=mirror)
    images = data.train.images.numpy().astype(np.float64)
    mean = images.mean(0)
    std = np.sqrt(((images - mean) ** 2).mean())
    indices, (top, left, turned) = batch_indices(3, 11, 40, 9), draw(3, 11, 40, pad, mirror)
    expected = np.zeros((40, 3, height, width))
    for b in range(40):
        for y in range(height):
            for x in range(width):
                across = width - 1 - x if turned[b] else x
                row, column = y + int(top[b]) - pad, across + int(left[b]) - pad
                if 0 <= row < height and 0 <= column < width:
                    expected[b, :, y, x] = (images[indices[b], row, column] - mean[row, column]) / std
    found, labels = feeder.batch(3, 11, 40)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=2e-6)
    assert labels.tolist() == (indices % 10).tolist()
    assert found.shape == (40, 3, height, width)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_plain_is_the_crop_from_the_middle() -> None:
    data = dataset(6, 8, 8)
    feeder = Feeder(data, pad=2, mirror=True)
    middle, no = torch.full((6,), 2), torch.zeros(6, dtype=torch.int64)
    plain = feeder.plain(data.test.images)
    assert torch.equal(plain, feeder.augmented(torch.arange(6), middle, middle, no))
    assert plain.is_contiguous(memory_format=torch.channels_last)
    assert plain.mean(0).abs().max() < 1e-6
    assert float(plain.square().mean().sqrt()) == pytest.approx(1, abs=1e-6)


def test_mean_and_std_are_exact_over_many_chunks() -> None:
    images = torch.from_numpy(np.full((700, 2, 2, 3), 255, np.uint8))
    images[:350, 0, 0] = 0
    mean, std = mean_and_std(images)
    assert mean[0, 0].tolist() == [127.5] * 3
    assert mean[1, 1].tolist() == [255.0] * 3
    assert std == 127.5 / 2
    white = Split(images[350:], torch.zeros(350, dtype=torch.int64))
    assert Feeder(Dataset("white", white, white, None, 1, "", mirror=True, pad=1), pad=0, mirror=False).scale == 1


def test_every_offset_and_both_mirrors_occur_alike() -> None:
    drawn = torch.stack(draw(0, 0, 16_200, 4, True))
    counts = torch.bincount((drawn[0] * 9 + drawn[1]) * 2 + drawn[2], minlength=162)
    assert len(counts) == 162
    assert 60 < int(counts.min()) <= int(counts.max()) < 140  # 100 expected, standard deviation 10
    assert draw(0, 0, 100, 4, False)[2].sum() == 0


def test_batches_follow_from_seed_and_iteration_alone() -> None:
    def batches(seed: int, iterations: list[int]) -> list[Tensor]:
        feeder = Feeder(dataset_of_ten, pad=1, mirror=True)
        return [feeder.batch(seed, iteration, 4)[0] for iteration in iterations]

    dataset_of_ten = dataset(10, 8, 8)
    first, again = batches(0, [0, 1, 2, 3]), batches(0, [3, 0])
    assert torch.equal(first[3], again[0])
    assert torch.equal(first[0], again[1])
    assert not any(torch.equal(first[0], other) for other in (*first[1:], *batches(1, [0])))


@pytest.mark.parametrize("size", [1, 4, 10, 25])
def test_the_stream_holds_each_image_once_an_epoch_in_full_batches(size: int) -> None:
    batches = [batch_indices(7, iteration, size, 10) for iteration in range(100 // size)]
    assert {len(batch) for batch in batches} == {size}
    epochs = torch.cat(batches).view(-1, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 10
    assert epochs.tolist()[:2] == torch.cat([batch_indices(7, i, 1, 10) for i in range(20)]).view(-1, 10).tolist()


def test_the_order_never_changes_between_versions() -> None:
    assert batch_indices(0, 0, 12, 10).tolist() == [0, 9, 5, 4, 8, 3, 6, 1, 7, 2, 8, 9]
    assert torch.stack(draw(0, 0, 4, 4, True)).tolist() == [[8, 2, 4, 0], [7, 0, 0, 6], [1, 1, 0, 0]]
