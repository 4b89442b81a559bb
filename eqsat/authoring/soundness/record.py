"""What was found out about the rules that ship: ``soundness.json``, one entry a rule, valid for exactly its text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eqsat.authoring.soundness.closure import companions, only
from eqsat.authoring.soundness.verdict import Level
from ir.atomic_file import write_text

if TYPE_CHECKING:
    from eqsat.rules import RuleBook

_DIGITS: Final = 16
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a rule.

    Attributes:
        hash: Of the rule's text and of the facts that it needs; another hash means that nothing is known.
        level: How well it is known to be sound.
        num_instances: Instances at which both sides were equal.
    """

    hash: str
    level: Level
    num_instances: int


def shipped_records_path() -> Path:
    """Return the file that ships: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).parents[2]
    installed = package / "soundness.json"
    return installed if installed.exists() else package.parent / "soundness.json"


def rule_hash(book: RuleBook, name: str) -> str:
    """Return a hash of a rule, of the rules of facts that it needs, and of those that do their half of its work.

    Comments and spaces do not count, but for the float class.

    Raises:
        KeyError: There is no such rule.
    """
    rule = book.rule(name)
    needed = only(book, {name, *companions(book, rule)})
    texts = sorted(_SPACE.sub(" ", each.text).strip() for each in needed.rules)
    text = "\n".join([name, rule.floats, *texts])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def read_records(path: Path | None = None) -> dict[str, Record]:
    """Return the records of a file by rule, the one that ships where it is left out; none where there is no file.

    Raises:
        ValueError: The file is broken.
    """
    path = path or shipped_records_path()
    if not path.exists():
        return {}
    fields = json.loads(path.read_text(encoding="utf-8"))
    try:
        return {
            name: Record(hash=entry["hash"], level=Level(entry["level"]), num_instances=int(entry["num_instances"]))
            for name, entry in fields["rules"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no records of soundness: {error}") from error


def write_records(records: Mapping[str, Record], path: Path | None = None) -> Path:
    """Write records, whole or not at all; return the file.

    Raises:
        OSError: The file cannot be written.
    """
    path = path or shipped_records_path()
    entries = {
        name: {"hash": record.hash, "level": record.level.value, "num_instances": record.num_instances}
        for name, record in sorted(records.items())
    }
    write_text(path, json.dumps({"rules": entries}, indent=1) + "\n")
    return path


def levels(book: RuleBook, records: Mapping[str, Record] | None = None) -> dict[str, Level]:
    """Return the level of each rule of a book that was judged as it stands.

    Args:
        book: The rules.
        records: What is known; what ships where it is left out.
    """
    known = read_records() if records is None else records
    names = {rule.name for rule in book.rules}
    return {
        name: record.level for name, record in known.items() if name in names and record.hash == rule_hash(book, name)
    }


def still_valid(book: RuleBook, records: Mapping[str, Record]) -> dict[str, Record]:
    """Return the records of rules that have not changed since."""
    return {name: records[name] for name in levels(book, records)}


def recorded(book: RuleBook, found: Iterable[tuple[str, Level, int]]) -> dict[str, Record]:
    """Return records of rules judged just now.

    Args:
        book: The rules.
        found: Name, level and number of instances of each rule that was found sound.
    """
    return {
        name: Record(hash=rule_hash(book, name), level=level, num_instances=num_instances)
        for name, level, num_instances in found
    }
