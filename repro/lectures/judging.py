"""A statement and the numbers of its check -> a verdict, which follows from its criterion and can't be typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import TableError
from repro.lectures.course import Statement, Verdict, Words
from repro.lectures.expressions import evaluate_criterion
from repro.tables.ledger import COURSE

Numbers = dict[str, float | int]
Findings = Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement with its verdict and all numbers that it was judged by; none where its check wasn't run."""

    statement: Statement
    verdict: Verdict
    numbers: Numbers

    @property
    def as_expected(self) -> bool:
        """Whether the run agrees with who read slide and paper; what couldn't be run here contradicts nobody."""
        return self.verdict in (self.statement.expected, "not run")

    def why(self, language: str) -> str:
        """Why, with the numbers, in ``en`` or ``ko``. Raises TableError where it names a number that there isn't."""
        statement = self.statement
        if not self.numbers:
            return str(getattr(statement.not_run, language)) if statement.not_run else ""
        return fill(statement.why, language, self.numbers, f"{statement.id}.why")

    def to_json(self) -> dict[str, Any]:
        """The judgement as ``repro lecture --json`` prints it."""
        statement = self.statement
        return {
            "id": statement.id,
            "topic": statement.topic,
            "heading": statement.heading,
            "statement": statement.says.en,
            "statement_ko": statement.says.ko,
            "verdict": self.verdict,
            "expected": statement.expected,
            "right_if": statement.right_if,
            "imprecise_if": statement.imprecise_if,
            "numbers": self.numbers,
            "why": self.why("en"),
            "why_ko": self.why("ko"),
        }


def judge_statement(statement: Statement, findings: Findings) -> Judged:
    """The verdict. ``findings`` are the numbers of each check of the topic; a check that wasn't run has none.

    Raises TableError where a criterion isn't one, or names a number that there isn't.
    """
    if statement.check is None or statement.check not in findings:
        return Judged(statement, "not run", {})
    numbers = {**findings[statement.check], **statement.slide, **statement.paper, **statement.ours}
    verdict: Verdict = "wrong"
    if _holds(statement, "right_if", numbers):
        verdict = "right"
    elif statement.imprecise_if is not None and _holds(statement, "imprecise_if", numbers):
        verdict = "imprecise"
    return Judged(statement, verdict, numbers)


def fill(words: Words | None, language: str, numbers: Mapping[str, Any], key: str) -> str:
    """A text with its numbers. Raises TableError where it names one that there isn't."""
    text = getattr(words, language) if words else ""
    try:
        return str(text.format(**numbers))
    except (KeyError, ValueError, IndexError, TypeError):
        raise TableError(COURSE, f"{key}.{language}", text, f"{{name}} of {', '.join(sorted(numbers))}", "correct the name") from None


def _holds(statement: Statement, key: str, numbers: Numbers) -> bool:
    expression = getattr(statement, key)
    try:
        return evaluate_criterion(expression, numbers)
    except ValueError as error:
        raise TableError(COURSE, f"{statement.id}.{key}", expression, str(error), "correct the criterion") from None
