"""Keeps what was found out about the rules that ship, rule by rule, so that nothing is judged twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

from eqsat.authoring.soundness.record import (
    read_records,
    recorded,
    shipped_records_path,
    still_valid,
    write_records,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eqsat.authoring.soundness.verdict import Level
    from eqsat.authoring.tools.judging import Judged
    from eqsat.rules.book import RuleBook


@final
class Recording:
    """The records of the rules that ship, brought up to date."""

    def __init__(self, book: RuleBook, path: Path | None = None) -> None:
        """Read what is known already; what is said of another text of a rule is forgotten.

        Args:
            book: The rules that ship.
            path: File of the records; the one that ships where it is left out.
        """
        self.path = path or shipped_records_path()
        self._book = book
        self._known = still_valid(book, read_records(self.path))

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the rules of which nothing is known as they stand."""
        return tuple(name for name in names if name not in self._known)

    def take(self, judged: Judged) -> None:
        """Write down what was found out about a sound rule.

        Raises:
            OSError: The file cannot be written.
        """
        if judged.level is not None and judged.is_sound:
            self._known |= recorded(self._book, [(judged.rule, judged.level, judged.num_instances)])
            self.write()

    def levels(self) -> list[Level]:
        """Return the level of every rule of which something is known."""
        return [record.level for record in self._known.values()]

    def write(self) -> None:
        """Write all that is known.

        Raises:
            OSError: The file cannot be written.
        """
        write_records(self._known, self.path)
