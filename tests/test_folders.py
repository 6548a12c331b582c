"""Anybody's images: folders and tar files, their cache, and everything that can be wrong with them."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data import Dataset, folders, load
from repro.errors import ReproError

CLASSES = ("ant", "bee", "cow")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cnn-repro"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder with 5 training and 2 test images of 12x10 (width x height) in each of three classes; the red of each says which it is."""
    random = np.random.default_rng(1)
    for split, n in (("train", 5), ("test", 2)):
        for label, name in enumerate(CLASSES):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for number in range(n):
                pixels = random.integers(0, 256, (10, 12, 3), dtype=np.uint8)
                pixels[0, 0] = (label, number, 0)
                Image.fromarray(pixels).save(tmp_path / "pets" / split / name / f"{number}.png")
    return tmp_path / "pets"


def pack(folder: Path) -> Path:
    """A tar file beside the folder, with the names as ``tar -C folder -cf file .`` writes them."""
    with tarfile.open(folder.with_suffix(".tar"), "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(folder, ".")
    return folder.with_suffix(".tar")


def equal(one: Dataset, other: Dataset) -> bool:
    pairs = [
        (getattr(a, part), getattr(b, part)) for a, b in ((one.train, other.train), (one.test, other.test)) for part in ("images", "labels")
    ]
    return one.checksum == other.checksum and all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each decoding took."""
    counts: list[int] = []
    original = folders._decoded

    def counting(files: list[folders.File], size: int | None) -> object:
        counts.append(len(files))
        return original(files, size)

    monkeypatch.setattr(folders, "_decoded", counting)
    return counts


def test_a_folder_and_its_tar_file_are_the_same_data(pets: Path) -> None:
    loaded, packed = load(f"folder:{pets}"), load(f"folder:{pack(pets)}")
    assert loaded.train.images.shape == (15, 10, 12, 3)
    assert loaded.test.images.shape == (6, 10, 12, 3)
    assert loaded.train.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert loaded.train.images[:, 0, 0, :2].tolist() == [[label, number] for label in range(3) for number in range(5)]
    assert equal(loaded, packed)
    assert (loaded.name, packed.name, loaded.classes, loaded.pad, loaded.mirror) == ("pets", "pets", 3, 2, True)


def test_jpegs_in_all_modes_become_colour_and_deeper_folders_count(pets: Path) -> None:
    (pets / "train" / "ant" / "more").mkdir()
    picture = Image.open(pets / "train" / "ant" / "0.png")
    picture.convert("L").save(pets / "train" / "ant" / "more" / "grey.jpg", quality=100)
    picture.convert("CMYK").save(pets / "train" / "ant" / "more" / "print.jpg")
    loaded = load(f"folder:{pets}", validation=True)
    assert (len(loaded.train), len(loaded.validation or ())) == (16, 1)
    grey = load(f"folder:{pets}").train.images[5].int()
    assert torch.equal(grey[..., 0], grey[..., 2])
    assert (grey[..., 0] - torch.from_numpy(np.asarray(picture.convert("L"), dtype=np.int32))).abs().max() <= 3


def test_a_record_never_takes_a_folder_for_the_real_set(pets: Path) -> None:
    assert load(f"folder:{pets.rename(pets.with_name('cifar10'))}").name == "cifar10-folder"
    assert load(f"folder:{pack(pets.with_name('cifar10')).rename(pets.with_name('cifar10-jpeg.tar'))}").name == "cifar10-jpeg"
    assert load(f"folder:{pets.with_name('cifar10').rename(pets.with_name('my pets (2)'))}").name == "my-pets-2-"


def test_size_cuts_the_middle_and_resizes(pets: Path) -> None:
    Image.new("RGB", (40, 20), (200, 0, 0)).save(pets / "train" / "ant" / "9.png")
    with pytest.raises(
        ReproError, match=r"has images of 2 sizes, most often 12x10 \(21\), 40x20 \(1\); give --size N to have them all N x N"
    ):
        load(f"folder:{pets}")
    loaded = load(f"folder:{pets}", size=10)
    assert loaded.train.images.shape == (16, 10, 10, 3)
    original = np.asarray(Image.open(pets / "train" / "bee" / "0.png"))
    assert np.array_equal(loaded.train.images[6].numpy(), original[:, 1:11])  # 12x10: one column off on each side, nothing resized
    assert loaded.train.images[5].flatten(0, 1).tolist() == [[200, 0, 0]] * 100
    with pytest.raises(ReproError, match="--size 0: expected 1 to 4096"):
        load(f"folder:{pets}", size=0)


# ---------------------------------------------------------------- what can be wrong


def hide(pets: Path) -> None:
    (pets / "test").rename(pets / "val")


def empty(pets: Path) -> None:
    shutil.rmtree(pets / "train")
    (pets / "train").mkdir()
    (pets / "train" / ".ipynb_checkpoints").mkdir()
    (pets / "train" / "picture.png").write_bytes(b"")


def add_class(pets: Path) -> None:
    shutil.copytree(pets / "test" / "cow", pets / "test" / "dog")


def empty_class(pets: Path) -> None:
    for path in (pets / "train" / "bee").iterdir():
        path.rename(path.with_name(f".{path.name}"))


def no_image(pets: Path) -> None:
    for path in (pets / "test").rglob("*.png"):
        path.write_bytes(b"<svg>")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (hide, "has no test/; expected train/CLASS/IMAGE and test/CLASS/IMAGE"),
        (empty, "has no class folders in train/; expected train/CLASS/IMAGE"),
        (add_class, ": class dog is in test/ only; expected the same class folders in train/ and test/"),
        (empty_class, "has no images in train/bee/"),
        (no_image, ": none of the 6 files in test/ is an image: test/ant/0.png (cannot identify image file)"),
    ],
)
def test_another_layout_is_refused(pets: Path, spoil: Callable[[Path], None], said: str, packed: bool) -> None:
    spoil(pets)
    path = pack(pets) if packed else pets
    with pytest.raises(ReproError) as caught:
        load(f"folder:{path}", skip_bad=True)
    assert str(caught.value).startswith(f"folder:{path}{'' if said[0] == ':' else ' '}{said}")


def test_images_that_do_not_decode_are_named_and_counted(pets: Path, decoded: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train/ant/1.png", "train/bee/0.png", "train/cow/4.png", "test/cow/1.png"):
        content = (pets / name).read_bytes()
        (pets / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ReproError) as caught:
        load(f"folder:{pets}")
    said = str(caught.value)
    assert said.startswith(f"folder:{pets}: 4 of 21 images don't decode: train/ant/1.png (")
    assert "train/bee/0.png" in said
    assert "train/cow/4.png (" in said
    assert said.endswith("), ...; replace or delete them, or go on without them with --skip-bad")
    assert "test/cow/1.png" not in said
    loaded = load(f"folder:{pets}", skip_bad=True)
    assert decoded == [21]  # what decoded the first time is kept
    assert (len(loaded.train), len(loaded.test), loaded.classes) == (12, 5, 3)
    assert loaded.train.images[:, 0, 0, :2].tolist()[:5] == [[0, 0], [0, 2], [0, 3], [0, 4], [1, 1]]
    assert capsys.readouterr().err.startswith(f"folder:{pets}: 4 of 21 images don't decode: train/ant/1.png (")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: b"", "is truncated, altered or no uncompressed tar file (empty file)"),
        (lambda content: b"\x1f\x8b" + content, "is truncated, altered or no uncompressed tar file ("),
        (lambda content: content[: content.rindex(b"IEND")], "is truncated, altered or no uncompressed tar file (unexpected end of data)"),
        (lambda content: content[: content.rindex(b"./train")], "is truncated or altered at byte"),
        (lambda content: content[: content.rindex(b"./train") + 100], "is truncated or altered at byte"),
        (lambda content: content.replace(b"train/bee/3", b"train/bee/\0"), "is truncated or altered at byte"),
    ],
)
def test_a_damaged_tar_file_is_refused(pets: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    path = pack(pets)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ReproError) as caught:
        load(f"folder:{path}")
    assert str(caught.value).startswith(f"folder:{path} {said}")
    assert str(caught.value).endswith("copy it anew")


def test_a_folder_that_may_not_be_read_is_one_line(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("bee"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ReproError, match=rf"folder:{pets} can't be read: {pets}/t\w+/bee: Permission denied"):
        load(f"folder:{pets}")


# ---------------------------------------------------------------- the cache


@pytest.mark.parametrize("packed", [False, True])
def test_the_second_load_decodes_nothing_and_is_equal(pets: Path, decoded: list[int], cache: Path, packed: bool) -> None:
    name = f"folder:{pack(pets) if packed else pets}"
    first, second = load(name), load(name)
    assert decoded == [21]
    assert equal(first, second)
    assert len(list(cache.iterdir())) == 1
    load(name, size=8)
    assert decoded == [21, 21]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("change", ["content", "time", "new", "less"])
def test_images_that_changed_are_decoded_again(pets: Path, decoded: list[int], cache: Path, change: str) -> None:
    first = load(f"folder:{pets}")
    path = pets / "train" / "ant" / "1.png"
    match change:
        case "content":
            shutil.copy(pets / "train" / "cow" / "1.png", path)
        case "time":
            os.utime(path, (1, 1))
        case "new":
            shutil.copy2(path, path.with_name("7.png"))
        case "less":
            path.unlink()
    second = load(f"folder:{pets}")
    assert len(decoded) == 2
    assert equal(first, second) == (change == "time")
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("where", [0, 40, 3000, -1])
def test_an_altered_cache_is_noticed_and_made_again(
    pets: Path, decoded: list[int], cache: Path, where: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load(f"folder:{pets}")
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[where] ^= 1
    file.write_bytes(content if where != -1 else content[:-1])
    assert equal(load(f"folder:{pets}"), first)
    assert equal(load(f"folder:{pets}"), first)
    assert decoded == [21, 21]
    assert capsys.readouterr().err == f"{file} is damaged; the images are decoded again\n"


def test_a_cache_that_cannot_be_written_costs_time_only(pets: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert len(load(f"folder:{pets}").train) == 15
    assert "can't be written" in capsys.readouterr().err
