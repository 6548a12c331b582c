"""The notebooks: what the steps give, the same code in both languages, and numbers that hold when they run from a clean kernel."""

from __future__ import annotations

import ast
import base64
import os
import re
import warnings
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from reports.render import render_reports
from repro import Ledger
from repro.errors import TableError
from repro.notebooks.writing import HERE, LANGUAGES, Language, all_notebooks, notebook_file, write_notebook

SOURCE = HERE / "resnet20.toml"
ROOT = HERE.parent.parent


def notebook(language: Language) -> Any:
    return nbformat.reads(write_notebook(SOURCE, language), as_version=4)  # type: ignore[no-untyped-call]


def codes(language: Language) -> list[str]:
    return [cell.source for cell in notebook(language).cells if cell.cell_type == "code"]


def texts(language: Language) -> list[str]:
    return [cell.source for cell in notebook(language).cells if cell.cell_type == "markdown"]


# ---------------------------------------------------------------- what is committed


def stale(folder: Path) -> list[str]:
    return [name for name, text in all_notebooks().items() if (folder / name).read_bytes() != text.encode("utf-8")]


def test_what_is_committed_is_what_the_steps_give() -> None:
    assert sorted(all_notebooks()) == sorted(path.name for path in HERE.glob("*.ipynb")) == ["resnet20.en.ipynb", "resnet20.ko.ipynb"]
    assert stale(HERE) == [], "run `repro report` and commit what it writes"


def test_the_report_writes_them(ledger: Ledger) -> None:
    written = render_reports(ledger, ROOT)
    assert {path.name: text for path, text in written.items() if ROOT / path.parent == HERE} == all_notebooks()


def test_a_notebook_that_was_run_and_saved_is_seen(tmp_path: Path) -> None:
    for name, text in all_notebooks().items():
        (tmp_path / name).write_bytes(text.replace('"execution_count": null', '"execution_count": 1', name.count("ko")).encode("utf-8"))
    assert stale(tmp_path) == ["resnet20.ko.ipynb"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notebook_is_valid_has_no_outputs_and_is_saved_as_jupyter_saves_it(language: Language) -> None:
    text = write_notebook(SOURCE, language)
    read = notebook(language)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nbformat.validate(read)
    assert nbformat.writes(read) + "\n" == text  # type: ignore[no-untyped-call]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in read.cells if cell.cell_type == "code")
    assert len({cell.id for cell in read.cells}) == len(read.cells) > 20


def test_both_languages_have_the_same_code_and_each_its_own_text() -> None:
    assert codes("en") == codes("ko")
    assert [cell.id for cell in notebook("en").cells] == [cell.id for cell in notebook("ko").cells]
    assert not re.search("[\uac00-\ud7a3]", "".join(text.replace("한국어", "") for text in texts("en")) + "".join(codes("en")))
    assert all(re.search("[\uac00-\ud7a3]", text) for text in texts("ko"))
    for english, korean in zip(texts("en"), texts("ko"), strict=True):
        assert sorted(re.findall("`[^`]+`", english.replace(".ko.", ".en."))) == sorted(re.findall("`[^`]+`", korean)), english


def test_numbers_in_code_are_the_ledgers(ledger: Ledger) -> None:
    network, code = ledger.network("resnet20"), "\n".join(codes("en"))
    assert {f"{network.params:_d}", f"{network.macs:_d}"} <= set(re.findall(r"\b\d+_\d{3}[_\d]*\b", code))
    assert "ITERATIONS, BATCH = 240, 128" in code
    assert all("240" in texts(language)[-1] and "64,000" in texts(language)[-1] for language in LANGUAGES)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "table"', 'name = "why"', "a name of its own for each step"),
        ('name = "table"', 'name = "the table"', "steps"),
        ('text.ko = """', 'text.kr = """', "kr"),
        ("code = '''", "kode = '''", "did you mean 'code'?"),
    ],
)
def test_a_wrong_file_of_steps_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "steps.toml"
    path.write_text(SOURCE.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TableError, match=re.escape(said)) as caught:
        write_notebook(path, "en")
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- what runs


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a kernel that writes nothing elsewhere, finds this checkout, and draws into the notebook."""
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    return tmp_path


def execute(read: Any, folder: Path) -> Any:
    client = NotebookClient(read, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def outputs(read: Any, kind: str) -> list[Any]:
    return [output for cell in read.cells if cell.cell_type == "code" for output in cell.outputs if output.output_type == kind]


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notebook_runs_from_a_clean_kernel(language: Language, clean: Path) -> None:
    ran = execute(notebook(language), clean)
    printed = "".join(output.text for output in outputs(ran, "stream"))
    assert [output.text for output in outputs(ran, "stream") if output.name == "stderr"] == []
    assert "20 layers, 269,722 parameters (the paper prints 0.27M), 40,551,040 MACs\n" in printed
    assert "(1, 10), 269,722 parameters, 40,551,040 MACs\n" in printed
    pictures = [output.data["image/png"] for output in outputs(ran, "display_data") if "image/png" in output.data]
    assert [len(base64.b64decode(picture)) > 5_000 for picture in pictures] == [True]
    result = ast.literal_eval(outputs(ran, "execute_result")[-1].data["text/plain"])
    error = result.pop("test_error_on_digits")
    assert 0 <= error < 10, "2 to 5 % here; guessing gives 90"
    assert result == {
        "params": 269_722,
        "macs": 40_551_040,
        "verdict": "exact",
        "mistakes": MISTAKES,
        "paper_test_error_on_cifar10": 8.75,
        "images_seen_of_the_paper_s": "0.38%",
    }


MISTAKES = {
    "OptionB": ("variant", 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64, ["option B shortcut"]),
    "NoLastReLU": ("wrong", 0, ["ReLU after the addition missing"]),
    "WithBias": ("wrong", 2 * 3 * (16 + 32 + 64), ["conv bias before BN"]),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("stride=stride, padding=1, bias=False)", "stride=stride, padding=1)", "4_672"),  # a bias
        ("channels - x.shape[1]))", "channels // 2 - x.shape[1]))", "small.shape"),  # too few zeros
        ("x[:, :, ::stride, ::stride]\n", "F.avg_pool2d(x, stride)\n", "torch.equal(small"),  # the mean, not a pixel
        ("nn.Linear(64, 10))", "nn.Linear(64, 10, bias=False))", "269_722"),
        ("return F.relu(self.body(x) + self", "return F.gelu(self.body(x) + self", 'mine.verdict == "exact"'),
    ],
)
def test_a_broken_cell_ends_the_run(right: str, wrong: str, said: str, clean: Path) -> None:
    read = notebook("en")
    (broken,) = [cell for cell in read.cells if cell.cell_type == "code" and right in cell.source]
    broken.source = broken.source.replace(right, wrong)
    with pytest.raises(CellExecutionError, match="AssertionError") as caught:
        execute(read, clean)
    assert said in re.sub(r"\x1b\[[0-9;]*m", "", str(caught.value))


NEXT = """
class Plain(Block):
    def shortcut(self, x):
        return 0

plain, n = audit(ResNet20(Plain), as_="plain20"), 9
plain.verdict, plain.params, audit(ResNet20(), as_="resnet56").verdict
"""


@pytest.mark.slow
def test_what_the_last_text_says_to_try_comes_out_as_it_says(clean: Path) -> None:
    read = notebook("en")
    (last,) = [number for number, cell in enumerate(read.cells) if cell.id == "head-code"]
    read.cells[last + 1 :] = [nbformat.v4.new_code_cell(NEXT)]  # type: ignore[no-untyped-call]
    said = outputs(execute(read, clean), "execute_result")[-1].data["text/plain"]
    assert ast.literal_eval(said) == ("exact", 269_722, "exact")


def test_the_name_of_a_notebook_says_its_language() -> None:
    assert notebook_file("resnet20", "ko") == "resnet20.ko.ipynb"
