"""Files that are no TOML, no text or no files at all: one line, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro import load_ledger
from repro.errors import TableError
from repro.tables.ledger import PAPERS

VGG = (PAPERS / "vgg.toml").read_bytes()


def complaint(folder: Path) -> str:
    with pytest.raises(TableError) as caught:
        load_ledger(folder)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    return message


@pytest.mark.parametrize(
    ("content", "begins", "ends"),
    [
        (b"\xff\xfe" + VGG, r"vgg.toml: byte 0: b'\xff'", "expected UTF-8; save the file as UTF-8"),
        (VGG.replace(b"Simonyan", b"Simony\xe1n"), r"vgg.toml: byte 219: b'\xe1'", "expected UTF-8; save the file as UTF-8"),
        (VGG.decode().encode("utf-16"), r"vgg.toml: byte 0: b'\xff'", "expected UTF-8; save the file as UTF-8"),
        (b"[paper\n" + VGG, "vgg.toml: syntax: \"Expected ']'", '(at line 1, column 7)": expected valid TOML; correct the line named'),
        (b"\0" + VGG, "vgg.toml: syntax: ", "(at line 1, column 1)': expected valid TOML; correct the line named"),
        (VGG.replace(b"[networks.vgg-b]", b"[networks.vgg-a]"), "vgg.toml: syntax: ", "expected valid TOML; correct the line named"),
        (VGG.replace(b"2015\n", b"2015\nyear = 2014\n"), "vgg.toml: syntax: 'Cannot overwrite", "valid TOML; correct the line named"),
        (VGG.replace(b"2015\n", b"1979-02-30\n"), "vgg.toml: syntax: 'Invalid date", "expected valid TOML; correct the line named"),
        (VGG.replace(b"2015\n", b"9" * 5000), "vgg.toml: syntax: 'Exceeds the limit", "expected valid TOML; correct the line named"),
        (VGG.replace(b"2015\n", b"[" * 5000), "vgg.toml: syntax: ", "expected valid TOML; correct the line named"),
        (VGG.replace(b"2015\n", b'"\\uD800"\n'), "vgg.toml: syntax: 'Escaped character", "expected valid TOML; correct the line named"),
        (b"", "vgg.toml: paper: None", "expected a value; add the key 'paper'"),
        (b"# nothing\n", "vgg.toml: paper: None", "expected a value; add the key 'paper'"),
        (b"paper = 1", "vgg.toml: paper: 1", "correct the value"),
        (b"paper = []", "vgg.toml: paper: []", "correct the value"),
        (b"networks = 1\n" + VGG.split(b"[networks")[0], "vgg.toml: networks: 1", "correct the value"),
        (b"x = 0x" + b"f" * 5000, "vgg.toml: x: 'x'", "remove it"),
        (b'"' + b"k" * 5000 + b'" = 1', "vgg.toml: 'kkkk", "remove it"),
        (b'"a\\u2028b\\n" = 1', r"vgg.toml: 'a\u2028b\n': 'a\u2028b\n'", "remove it"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, content: bytes, begins: str, ends: str) -> None:
    (tmp_path / "vgg.toml").write_bytes(content)
    message = complaint(tmp_path)
    assert message.startswith(begins)
    assert message.endswith(ends)


def test_line_endings_of_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "lenet5.toml").write_bytes((PAPERS / "lenet5.toml").read_bytes().replace(b"\n", b"\r\n"))
    assert load_ledger(tmp_path).network("lenet5").params == 60_000


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vgg.toml").mkdir()
    assert complaint(tmp_path).startswith("vgg.toml: file: ")
    assert "expected a readable file; check it" in complaint(tmp_path)


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "vgg.toml").symlink_to(tmp_path / "gone.toml")
    assert complaint(tmp_path).endswith("expected a readable file; check it: No such file or directory")


@pytest.mark.parametrize("name", [".", "missing"])
def test_a_folder_without_files_is_named(tmp_path: Path, name: str) -> None:
    message = complaint(tmp_path / name)
    assert message.startswith(str(tmp_path / name))
    assert "expected files *.toml" in message


def test_a_file_of_the_same_claims_twice_is_refused(tmp_path: Path) -> None:
    for name in ("lenet5.toml", "copy.toml"):
        (tmp_path / name).write_bytes((PAPERS / "lenet5.toml").read_bytes())
    assert complaint(tmp_path) == "copy.toml: networks.lenet5: 'lenet5': expected a new name (lenet5.toml has it); rename one"
