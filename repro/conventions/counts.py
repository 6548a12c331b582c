"""How many operations a convention counts in one network, and the way there from the ledger's own count."""

from __future__ import annotations

from dataclasses import dataclass, replace

from repro.conventions.choices import CHOICES, COUNTED, NUMERALS, OWN, STRUCTURE, Choice, Convention
from repro.conventions.items import Items, variant_items, variants
from repro.tables import Ledger


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a bridge: what it adds, and the sum so far."""

    label: str
    delta: int
    total: int


class Counts:
    """One network of the ledger under every convention."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger, self._name = ledger, name
        self._items: dict[tuple[str, ...], Items] = {}
        offered = variants(ledger.network(name))
        self._same = {question: self._same_structures(question, offered[question]) for question in STRUCTURE}
        structures = [self.items(structure) for structure in self.structures()]
        self._same |= {question: _same_counts(CHOICES[question], structures) for question in COUNTED}
        self._same |= {question: {choice: choice for choice in CHOICES[question]} for question in ("unit", *NUMERALS)}

    def options(self, question: str) -> tuple[str, ...]:
        """OWN, and the choices that differ in this network from it and from each other."""
        return (OWN, *(choice for choice, same in self._same[question].items() if choice == same))

    def structures(self) -> list[Convention]:
        """The network itself and its variants."""
        found = [Convention()]
        for question in STRUCTURE:
            found = [replace(one, **{question: choice}) for one in found for choice in self.options(question)]
        return found

    def settle(self, convention: Convention) -> Convention:
        """The same convention without the departures that change nothing in this network."""
        same = {question: self._same[question].get(choice, OWN) for question, choice in convention.departures.items()}
        return Convention(**same)

    def items(self, convention: Convention) -> Items:
        """The items of the network that a convention counts."""
        key = tuple(getattr(convention, question) for question in STRUCTURE)
        if key not in self._items:
            structure = {question: choice for question, choice in zip(STRUCTURE, key, strict=True) if choice != OWN}
            self._items[key] = variant_items(self._ledger, self._name, structure)
        return self._items[key]

    def parts(self, convention: Convention) -> tuple[int, int]:
        """MACs, and operations that are no MACs."""
        items = self.items(convention)
        macs, other = items["macs"], 0
        for question in COUNTED:
            if (choice := getattr(convention, question)) != OWN:
                more = weigh(CHOICES[question][choice], items)
                macs, other = macs + more[0], other + more[1]
        return macs, other

    def total(self, convention: Convention) -> int:
        """Operations for one image."""
        macs, other = self.parts(convention)
        return factor(convention.unit) * macs + other

    def unit(self, convention: Convention) -> str:
        """``MACs``, ``FLOPs`` (2 for each MAC), or ``operations`` where a MAC counts as one beside others."""
        if convention.unit == "FLOP":
            return "FLOPs"
        return "operations" if self.parts(convention)[1] else "MACs"

    def words(self, convention: Convention, power: int = 9) -> dict[str, str]:
        """question -> its departure in words. ``power``: the power of ten that the number is written in."""
        items = self.items(convention)
        average = "torchvision's adaptive pooling" if items["average_in"] == items["average_out"] else "average pooling"
        blanks = {
            "average": average,
            "and_average": f" and {average}" if items["average_in"] else "",
            "binary": f"2^{10 * power // 3}",
            "decimal": f"10^{power}",
        }
        return {question: CHOICES[question][choice].words.format_map(blanks) for question, choice in convention.departures.items()}

    def bridge(self, convention: Convention) -> tuple[Step, ...]:
        """From the ledger's own count to the convention's total, one departure after the other."""
        reached = Convention()
        total = self.total(reached)
        counted = "conv, FC and RBF" if self.items(reached)["rbf"] else "conv and FC"
        steps = [Step(f"{self._name}: MACs of {counted} layers", total, total)]
        for question, label in self.words(convention).items():
            if question in NUMERALS:
                continue
            reached = replace(reached, **{question: getattr(convention, question)})
            before, total = total, self.total(reached)
            steps.append(Step(label, total - before, total))
        return tuple(steps)

    def _same_structures(self, question: str, offered: tuple[str, ...]) -> dict[str, str]:
        """choice -> OWN, or the first choice, with the same items."""
        seen = {OWN: self.items(Convention())}
        for choice in offered:
            seen[choice] = self.items(Convention(**{question: choice}))
        return {choice: next(first for first, items in seen.items() if items == seen[choice]) for choice in offered}


def weigh(choice: Choice, items: Items) -> tuple[int, int]:
    """What a choice adds to the MACs and to the other operations."""
    return sum(n * items[item] for item, n in choice.macs.items()), sum(n * items[item] for item, n in choice.other.items())


def factor(unit: str) -> int:
    """What a MAC counts: 1, or 2 where FLOPs are counted."""
    return 2 if unit == "FLOP" else 1


def _same_counts(choices: dict[str, Choice], structures: list[Items]) -> dict[str, str]:
    """choice -> OWN, or the first choice, that adds the same in every variant of the network."""
    seen = {OWN: [(0, 0)] * len(structures)}
    for name, choice in choices.items():
        seen[name] = [weigh(choice, items) for items in structures]
    return {name: next(first for first, added in seen.items() if added == seen[name]) for name in choices}
