"""Checking rules files: first what they say, then whether it is so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eqsat.authoring.soundness.claims import is_judged_alone
from eqsat.authoring.soundness.closure import asserted
from eqsat.authoring.soundness.verdict import Level
from eqsat.authoring.tools.complaints import Complaint
from eqsat.authoring.tools.judging import Judged, Order
from eqsat.authoring.tools.reading import read_all, sources
from eqsat.authoring.tools.static import refused_together, static_complaints, untried
from eqsat.egglog.commands import Location
from eqsat.rules.book import RuleBook, shipped_rules_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Rules files whose text was looked at.

    Attributes:
        files: The files.
        book: Their rules, and those that ship.
        complaints: What is wrong with their text.
    """

    files: tuple[Path, ...]
    book: RuleBook
    complaints: tuple[Complaint, ...]

    @property
    def num_errors(self) -> int:
        """Complaints that keep a rule from being used."""
        return sum(each.is_error for each in self.complaints)

    @property
    def names(self) -> tuple[str, ...]:
        """The rules to judge: those that rewrite, and facts that can mislead rules of other files.

        Such are facts that have a meaning of their own, and those that add to a relation which another file declares.
        What other facts are worth shows in the rules that ask for them.
        """
        wanted = {str(path) for path in self.files}
        foreign = {each.name for each in self.book.declarations if each.location.file not in wanted}
        return tuple(
            rule.name
            for rule in self.book.rules
            if rule.location.file in wanted and (is_judged_alone(rule) or not foreign.isdisjoint(asserted(rule)))
        )

    def order(self, num_instances: int, seed: int) -> Order:
        """Return what is to be judged."""
        return Order(
            files=tuple(str(path) for path in self.files),
            names=self.names,
            num_instances=num_instances,
            seed=seed,
        )

    def complaint(self, judged: Judged, script: Path | None) -> Complaint:
        """Return a refusal as a complaint that names the program which shows it."""
        unknown = f" ({judged.unknown})" if judged.unknown and judged.unknown not in judged.reason else ""
        shown = f"; run {script}" if script is not None else ""
        location = self.book.rule(judged.rule).location
        return Complaint(location=location, rule=judged.rule, reason=f"{judged.reason}{unknown}{shown}")

    def warning(self, judged: Judged) -> Complaint | None:
        """Return what is still missing of a sound rule; None where nothing is."""
        return untried(self.book.rule(judged.rule))

    def summary(self, levels: Iterable[Level]) -> str:
        """Return the result where nothing is wrong, as one line."""
        counts = Counter(levels)
        found = ", ".join(f"{counts[level]} {level.value}" for level in Level if counts[level])
        count = len(self.names)
        return f"{count} {'rule' if count == 1 else 'rules'}: {found or 'nothing is wrong with their text'}"


def prepare(files: Sequence[Path]) -> Checked:
    """Read rules files and look at their text; the one that ships where none is given."""
    wanted = tuple(files) or (shipped_rules_path(),)
    reading = read_all(sources(wanted))
    names = frozenset(str(path) for path in wanted)
    said = [each for each in reading.complaints if each.location.file in names]
    said += static_complaints(reading.book, names)
    if not any(each.is_error for each in said):
        said += refused_together(reading.book, names)
    if not any(rule.location.file in names for rule in reading.book.rules) and not said:
        start = Location(str(wanted[0]), 1, 1)
        said.append(Complaint(location=start, rule="", reason="holds no rule", is_error=False))
    complaints = tuple(sorted(said, key=lambda each: each.location))
    return Checked(files=wanted, book=reading.book, complaints=complaints)
