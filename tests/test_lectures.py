"""The lecture as a whole: the verdicts of the facts, the kept numbers, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repro import cli_lecture
from repro.cli import main
from repro.lectures.course import load_lecture
from repro.lectures.running import checksum, judge_topic, load_document

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "reports" / "lecture"

#: Verdicts of those who read slides and papers beside each other, independent of this project's checks.
READ = {
    "convolution/n-minus-m": "wrong",
    "alexnet/errors": "imprecise",
    "alexnet/input": "wrong",
    "vgg/two-for-seven": "wrong",
    "vgg/dropout": "wrong",
    "alexnet/ones": "imprecise",
    "alexnet/towers": "right",
    "resnet/twenty": "imprecise",
    "resnet/gradients": "imprecise",
    "activations/quarter": "imprecise",
    "activations/vanishing": "imprecise",
    "vgg/epochs": "right",
    "alexnet/two-gpus-error": "imprecise",
    "tasks/instance": "wrong",
    "convolution/output-size": "imprecise",
    "vgg/dense": "imprecise",
    "activations/relu": "imprecise",
    "convolution/stride": "imprecise",
    "convolution/padding-kinds": "imprecise",
    "vgg/deeper-is-better": "imprecise",
    "vgg/one-by-one": "right",
}


def verdicts() -> dict[str, str]:
    lecture = load_lecture()
    return {
        one.statement.id: one.verdict
        for topic in lecture.topics
        for one in judge_topic(lecture, topic.name, load_document(KEPT, topic.name))
    }


def test_verdicts_agree_with_who_read_slides_and_papers() -> None:
    found = verdicts()
    assert {id: found[id] for id in READ} == READ


def test_each_verdict_is_the_expected_one_and_what_can_be_run_was_run() -> None:
    lecture, found = load_lecture(), verdicts()
    assert {statement.id: statement.expected for statement in lecture.statements} == found
    assert sum(verdict == "not run" for verdict in found.values()) == sum(statement.not_run is not None for statement in lecture.statements)


def test_a_wrong_statement_cant_come_out_right_by_typing() -> None:
    """Whatever ``expected`` says, the verdict follows from the numbers."""
    lecture = load_lecture()
    for id in ("convolution/n-minus-m", "vgg/two-for-seven", "alexnet/input"):
        (statement,) = (statement for statement in lecture.statements if statement.id == id)
        typed = lecture.model_copy(update={"statements": (statement.model_copy(update={"expected": "right"}),)})
        (judged,) = judge_topic(typed, statement.topic, load_document(KEPT, statement.topic))
        assert judged.verdict == "wrong"
        assert not judged.as_expected


@pytest.mark.parametrize(
    ("id", "constants", "verdict"),
    [
        ("alexnet/errors", {"slide": {"first": 15.3, "second": 26.2}}, "right"),
        ("alexnet/errors", {"slide": {"first": 16.4, "second": 26.2}}, "wrong"),
        ("alexnet/input", {"slide": {"side": 224}}, "right"),
        ("vgg/dropout", {"slide": {"layers": 2}}, "right"),
        ("vgg/weights", {"slide": {"three": 27, "one": 50}}, "wrong"),
        ("activations/quarter", {"slide": {"slope": 0.3}}, "wrong"),
        ("resnet/twenty", {"paper": {"plain20": 9, "plain32": 8, "plain44": 7, "plain56": 6}, "source": "nowhere"}, "wrong"),
        ("mnist/size", {"slide": {"training_images": 50000, "test_images": 10000}}, "wrong"),
        ("alexnet/schedule", {"slide": {"start": 0.01, "times": 2}}, "wrong"),
        ("alexnet/weights", {"slide": {"std": 0.1}}, "wrong"),
        ("alexnet/ones", {"slide": {"of_weights": 0, "convs": 3, "fcs": 2}}, "right"),
        ("convolution/padding-kinds", {"slide": {"named": 5}}, "right"),
        ("convolution/pooling-shifts", {"ours": {"hardly": 40}}, "right"),
        ("resnet/table-1", {"slide": {"conv1": 112, "conv2": 56, "conv3": 28, "conv4": 14, "conv5": 8, "outputs": 1000}}, "wrong"),
        ("resnet/learns-deep", {"paper": {"printed_resnet20_train": 1, "printed_resnet56_train": 2}, "source": "nowhere"}, "wrong"),
    ],
)
def test_another_number_gives_another_verdict(id: str, constants: dict[str, Any], verdict: str) -> None:
    lecture = load_lecture()
    (statement,) = (statement for statement in lecture.statements if statement.id == id)
    assert statement.expected != verdict
    changed = lecture.model_copy(update={"statements": (statement.model_copy(update=constants),)})
    (judged,) = judge_topic(changed, statement.topic, load_document(KEPT, statement.topic))
    assert judged.verdict == verdict


def test_numbers_are_kept_for_the_checks_as_they_are() -> None:
    for topic in load_lecture().topics:
        document = load_document(KEPT, topic.name)
        assert document is not None
        assert document.code == checksum(topic.name), f"run `repro lecture --write {topic.name}`, then `repro report`"


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["lecture", *words])
    return int(str(ended.value.code))


def test_command_judges_a_topic_and_prints_one_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command("convolution", "--json", "--records", str(tmp_path)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tally"] == {"right": 7, "imprecise": 6, "wrong": 2}
    by_id = {row["id"]: row for row in found["statements"]}
    assert by_id["convolution/n-minus-m"]["numbers"]["lenet_c1"] == 28
    assert "28x28" in by_id["convolution/n-minus-m"]["why_ko"]
    assert not list(tmp_path.iterdir()), "written without --write"


def test_command_keeps_numbers_once_and_says_which_differ(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command("tasks", "--write", "--records", str(tmp_path)) == 0
    path = tmp_path / "tasks.json"
    assert "written" in capsys.readouterr().out
    assert command("tasks", "--write", "--records", str(tmp_path)) == 0
    assert "written" not in capsys.readouterr().out
    path.write_text(path.read_text(encoding="utf-8").replace('"labels_instance": 3', '"labels_instance": 2'), encoding="utf-8")
    assert command("tasks", "--records", str(tmp_path)) == 0
    assert "tasks.segmentation.labels_instance" in capsys.readouterr().out


def test_command_refuses_an_unknown_topic_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("convolutoin") == 2
    assert capsys.readouterr().err.splitlines() == ["repro: unknown topic 'convolutoin'; did you mean convolution?"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["vgg", "--train"], "--train trains LeNet-5 and runs no topic; leave vgg or --train away"),
        (["--train", "--data", "cifar10"], "--data cifar10: LeNet-5 is trained on mnist or digits; give one of them"),
        (["--train", "--root", "x"], "digits come with scikit-learn and have no folder; leave --root away"),
    ],
)
def test_training_refuses_what_makes_no_sense(capsys: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    assert command(*words) == 2
    assert capsys.readouterr().err.splitlines() == [f"repro: {line}"]


def test_unexpected_verdict_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lecture = load_lecture()
    altered = tuple(one.model_copy(update={"expected": "right"}) if one.id == "tasks/instance" else one for one in lecture.statements)
    monkeypatch.setattr("repro.lectures.course.load_lecture", lambda: lecture.model_copy(update={"statements": altered}))
    assert command("tasks", "--records", str(tmp_path)) == 1
    assert "expected: right" in capsys.readouterr().out


def test_all_runs_only_what_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[str] = []
    for path in KEPT.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "tasks.json").read_text(encoding="utf-8")
    (tmp_path / "tasks.json").write_text(text.replace(checksum("tasks"), "0" * 64), encoding="utf-8")
    monkeypatch.setattr(cli_lecture, "_train", lambda *arguments: [])
    monkeypatch.setattr(cli_lecture, "_say", ran.append)
    assert cli_lecture.refresh(tmp_path) == []
    assert ran == ["lecture: tasks ..."]
    assert (tmp_path / "tasks.json").read_bytes() == (KEPT / "tasks.json").read_bytes()


@pytest.mark.slow
def test_this_machine_measures_the_numbers_that_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """All topics, real processes included."""
    assert command("--json", "--records", str(KEPT)) == 0
    assert json.loads(capsys.readouterr().out)["other_than_kept"] == []
