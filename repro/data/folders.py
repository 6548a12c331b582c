"""Anybody's images: ``train/`` and ``test/`` with a folder for each class, in a folder or in a tar file."""

from __future__ import annotations

import io
import mmap
import os
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from repro.data.caching import Arrays, cache_file, read_cache, stamp, write_cache
from repro.data.datasets import Split, from_arrays
from repro.errors import ReproError
from repro.printing import progress_bar

SPLITS = ("train", "test")
LAYOUT = "expected train/CLASS/IMAGE and test/CLASS/IMAGE"

#: Images that a thread decodes at a time: handing one over costs as much as decoding a small one.
CHUNK = 64


class File(NamedTuple):
    """An image that isn't decoded yet: its name below PATH with forward slashes, and what reads its bytes."""

    name: str
    read: Callable[[], bytes]


Tree = dict[str, dict[str, list[File]]]
"""Files by split and class."""


def load_folder(path: Path, *, size: int | None = None, skip_bad: bool = False) -> tuple[str, Split, Split, int]:
    """The name of a folder or an uncompressed tar file, its training and test set, and the number of classes.

    Classes and images are ordered by name. With ``size`` each image is cut in its middle to a square and resized to so many
    pixels (bicubic); without, all must have one size. The result is cached (see ``caching``). JPEG decoders may differ by a
    unit here and there, so the checksum belongs to the installed Pillow as well as to the files.
    Raises ReproError where the layout is another one and, without ``skip_bad``, where images don't decode.
    """
    if not path.exists():
        raise ReproError(f"folder:{path}: no such folder or tar file; {LAYOUT} in it")
    if size is not None and not 1 <= size <= 4096:
        raise ReproError(f"--size {size}: expected 1 to 4096 pixels")
    file, now = cache_file(path, size), stamp(path)
    arrays = read_cache(file, now)
    if arrays is None:
        arrays = _decode_tree(path, list_tar(path) if path.is_file() else list_folder(path), size)
        write_cache(file, now, arrays)
    _tell_bad(path, arrays, skip_bad)
    train, test = (from_arrays(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS)
    stem = path.resolve().stem if path.is_file() else path.resolve().name
    return re.sub(r"[^\w.-]+", "-", stem) or "folder", train, test, len(arrays["classes"])


def list_folder(path: Path) -> Tree:
    """Every file of every class, however deep below it. Raises ReproError where the layout is another one."""
    folders: list[str] = []
    files: list[File] = []
    for folder, _, names in os.walk(path, followlinks=True):
        inside = Path(folder).relative_to(path)
        folders.append(inside.as_posix())
        files += [File((inside / name).as_posix(), (Path(folder) / name).read_bytes) for name in names]
    return _tree(path, folders, files)


def list_tar(path: Path) -> Tree:
    """The same of a tar file, which stays packed."""
    try:
        with tarfile.open(path, "r:") as archive:
            members, end = archive.getmembers(), archive.offset
    except tarfile.TarError as error:
        raise ReproError(f"folder:{path} is truncated, altered or no uncompressed tar file ({error}); copy it anew") from None
    with path.open("rb") as opened:
        content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    if end == len(content) or content[end:].strip(b"\0"):  # tarfile takes what it can't read, or a file cut between two images, for the end
        raise ReproError(f"folder:{path} is truncated or altered at byte {end:,d} of {len(content):,d}; copy it anew")

    def reader(member: tarfile.TarInfo) -> Callable[[], bytes]:
        return lambda: content[member.offset_data : member.offset_data + member.size]

    files = [File(PurePosixPath(member.name).as_posix(), reader(member)) for member in members if member.isfile()]
    return _tree(path, [PurePosixPath(member.name).as_posix() for member in members if member.isdir()], files)


def _tree(path: Path, folders: Iterable[str], files: Iterable[File]) -> Tree:
    """Sorted by split, class and name; without what is hidden. Raises ReproError where the layout is another one."""
    tree: Tree = {}
    for name in folders:
        match name.split("/"):
            case [split]:
                tree.setdefault(split, {})
            case [split, label] if not label.startswith("."):
                tree.setdefault(split, {}).setdefault(label, [])
    for file in sorted(files, key=lambda file: file.name):
        match file.name.split("/"):
            case [split, label, *_, name] if not (label.startswith(".") or name.startswith(".")):
                tree.setdefault(split, {}).setdefault(label, []).append(file)
    for split in SPLITS:
        if not tree.get(split):
            missing = "no class folders in" if split in tree else "no"
            raise ReproError(f"folder:{path} has {missing} {split}/; {LAYOUT}")
    train, test = (tree[split] for split in SPLITS)
    for label in sorted(train.keys() ^ test.keys()):
        where = "train" if label in train else "test"
        raise ReproError(f"folder:{path}: class {label} is in {where}/ only; expected the same class folders in train/ and test/")
    for split in SPLITS:
        for label, held in tree[split].items():
            if not held:
                raise ReproError(f"folder:{path} has no images in {split}/{label}/; {LAYOUT}")
    return {split: dict(sorted(tree[split].items())) for split in SPLITS}


def _decode_tree(path: Path, tree: Tree, size: int | None) -> Arrays:
    """Images and labels of both splits, the names of the classes, and the names of images that don't decode, each with the reason."""
    arrays: Arrays = {"classes": np.array(list(tree["train"]))}
    files = [file for split in SPLITS for held in tree[split].values() for file in held]
    sizes: Counter[tuple[int, ...]] = Counter()
    good, bad = np.zeros(len(files), bool), []
    images = np.empty((0, 0, 0, 3), np.uint8)
    for number, (file, decoded) in enumerate(zip(files, _decoded(files, size), strict=True)):
        if isinstance(decoded, str):
            bad.append(f"{file.name} ({decoded})")
            continue
        if not sizes:
            images = _room(path, len(files), decoded.shape)
        sizes[decoded.shape] += 1
        if decoded.shape == images.shape[1:]:
            images[number], good[number] = decoded, True
    if len(sizes) > 1:
        most = ", ".join(f"{width}x{height} ({count})" for (height, width, _), count in sizes.most_common(3))
        raise ReproError(f"folder:{path} has images of {len(sizes)} sizes, most often {most}; give --size N to have them all N x N")
    start = 0
    for split in SPLITS:
        labels = np.repeat(np.arange(len(tree[split])), [len(held) for held in tree[split].values()])
        here = slice(start, start := start + len(labels))
        arrays |= {f"{split}_images": images[here][good[here]], f"{split}_labels": labels[good[here]]}
        if not good[here].any():
            raise ReproError(f"folder:{path}: none of the {len(labels)} files in {split}/ is an image: {bad[0]}")
    return arrays | {"bad": np.array(bad, str)}


def _decoded(files: Sequence[File], size: int | None) -> Iterator[np.ndarray | str]:
    """Each image as uint8 (H, W, 3), or why it isn't one. In threads, since Pillow decodes outside Python's lock."""

    def decode(file: File) -> np.ndarray | str:
        try:
            with Image.open(io.BytesIO(file.read())) as image:
                colour = image.convert("RGB")
            return np.asarray(ImageOps.fit(colour, (size, size)) if size and colour.size != (size, size) else colour)
        except Exception as error:  # Pillow's decoders raise whatever they like
            return str(error).split("<")[0].strip() or type(error).__name__

    def decode_chunk(start: int) -> list[np.ndarray | str]:
        return [decode(file) for file in files[start : start + CHUNK]]

    with progress_bar(len(files)) as tell, ThreadPoolExecutor() as pool:
        for start, chunk in enumerate(pool.map(decode_chunk, range(0, len(files), CHUNK))):
            for file, decoded in zip(files[start * CHUNK :], chunk, strict=False):
                tell(file.name)
                yield decoded


def _room(path: Path, n: int, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.empty((n, *shape), np.uint8)
    except MemoryError:
        height, width, _ = shape
        raise ReproError(f"folder:{path}: {n:,d} images of {width}x{height} don't fit into memory; give a smaller --size") from None


def _tell_bad(path: Path, arrays: Arrays, skip_bad: bool) -> None:
    """Raises ReproError for images that don't decode or, where they are skipped, says so."""
    bad = arrays["bad"].tolist()
    if not bad:
        return
    named = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "")
    found = (
        f"folder:{path}: {len(bad)} of {len(bad) + sum(len(arrays[f'{split}_labels']) for split in SPLITS)} images don't decode: {named}"
    )
    if not skip_bad:
        raise ReproError(f"{found}; replace or delete them, or go on without them with --skip-bad")
    print(f"{found}; skipped", file=sys.stderr)
