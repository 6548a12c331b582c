"""Records: written once, found again by what was run, never overwritten, and a damaged one is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.errors import ReproError
from repro.records import Record, find_record, load_records, read_record, write_record

Make = Callable[..., Record]


def test_a_record_comes_back_as_it_was(tmp_path: Path, make_record: Make) -> None:
    record = make_record("plain20", 3)
    path = write_record(record, tmp_path)
    assert path.relative_to(tmp_path).as_posix() == f"testor-9-2-cores/digits-plain20-seed3-{record.key}.json"
    assert read_record(path) == record
    assert load_records(tmp_path) == (record,)
    assert find_record(tmp_path, record.key) == path
    assert find_record(tmp_path, "0" * 12) is None


def test_a_number_that_is_not_finite_comes_back(tmp_path: Path, make_record: Make) -> None:
    record = make_record("plain20", 0)
    norms = ((float("inf"),) * 20, (float("nan"),) * 20)
    broken = record.model_copy(update={"gradients": record.gradients.model_copy(update={"norm": norms})})
    found = read_record(write_record(broken, tmp_path))
    assert found.gradients.norm[0][0] == float("inf")
    assert found.gradients.norm[1][0] != found.gradients.norm[1][0]


KEYED = [("seed", 1), ("network", "plain56"), ("recipe.lr", 0.2), ("data.checksum", "d" * 64), ("data.train", 1294)]
UNKEYED = [("settings.dtype", "float32"), ("settings.threads", 2), ("settings.device", "cuda"), ("environment.torch", "9"), ("starts", 2)]


@pytest.mark.parametrize(("key", "value"), [*KEYED, *UNKEYED])
def test_a_run_is_its_network_seed_recipe_and_data(make_record: Make, key: str, value: Any) -> None:
    same = make_record("plain20", 0).key == make_record("plain20", 0, 5.0, {key: value}).key
    assert same == ((key, value) in UNKEYED)


def test_the_key_of_a_run_never_changes(make_record: Make) -> None:
    assert make_record("plain20", 0).key == "3fbe8edff1b7", "records in the tree are found by it"


def test_equal_content_is_one_file_and_other_content_another(tmp_path: Path, make_record: Make) -> None:
    first, again = make_record("plain20", 0), make_record("plain20", 0, 5.0, {"wall_seconds": 61.0})
    paths = [write_record(record, tmp_path) for record in (first, first, again)]
    assert paths[0] == paths[1]
    assert paths[2].name == f"{paths[0].stem}-2.json"
    assert load_records(tmp_path) == (again, first)  # in the order of their paths: "-" comes before "."


def test_processes_that_record_the_same_run_at_once_lose_nothing(tmp_path: Path, make_record: Make) -> None:
    (tmp_path / "record.json").write_text(make_record("plain20", 0).model_dump_json())
    code = (
        "import sys; from pathlib import Path; from repro.records import read_record, write_record\n"
        "record = read_record(Path('record.json')); sys.stdin.read()\n"
        "for i in range(20): write_record(record.model_copy(update={'wall_seconds': float(sys.argv[1]) + i}), Path('records'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, start], cwd=tmp_path, stdin=subprocess.PIPE) for start in ("100", "200")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = sorted(record.wall_seconds for record in load_records(tmp_path / "records"))
    assert found == [start + i for start in (100, 200) for i in range(20)]


def cut(text: str) -> str:
    return text[: len(text) // 2]


def without_seed(text: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key != "seed"})


def with_more(text: str) -> str:
    return json.dumps(json.loads(text) | {"luck": 7})


def of_format_2(text: str) -> str:
    return text.replace('"format":1', '"format":2')


@pytest.mark.parametrize(
    ("damage", "where"),
    [(cut, "the file"), (without_seed, "seed"), (with_more, "luck"), (of_format_2, "format"), (lambda text: "", "the file")],
)
def test_a_damaged_record_is_named(tmp_path: Path, make_record: Make, damage: Callable[[str], str], where: str) -> None:
    path = write_record(make_record("plain20", 0), tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ReproError) as raised:
        load_records(tmp_path)
    assert str(raised.value).startswith(f"{path}: {where}: ")
    assert str(raised.value).endswith("remove the file or take it from git again")
    assert "\n" not in str(raised.value)


def test_a_run_that_several_processes_share_is_another_run(make_record: Callable[..., Record]) -> None:
    alone, shared = make_record("resnet20", 0), make_record("resnet20", 0, changes={"settings.world": 2})
    assert alone.key != shared.key
    assert alone.key == make_record("resnet20", 0, changes={"settings.threads": 2}).key
