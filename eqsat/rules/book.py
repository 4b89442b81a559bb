"""Every rule there is, and the choice among them for one run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, assert_never

from typing_extensions import override

from eqsat.egglog.commands import AddRuleset, FunctionCommand, Location, Relation, new_egraph
from eqsat.errors import RulesError, UsageError
from eqsat.rules.allowlist import parse_form
from eqsat.rules.rule import FloatClass, Rule, RuleKind, rules_of
from eqsat.rules.text import read, split
from eqsat.text.suggest import did_you_mean
from ir.operators import OPERATORS


class DropReason(StrEnum):
    """Why a rule takes no part in a run."""

    SKIPPED = "left out by name"
    NOT_ENABLED = "approximates, and is not switched on"
    TIER_OFF = "is in a tier that is not switched on"
    ASSUMES_FINITE = "may change where values are infinite or NaN"
    UNAVAILABLE = "makes an operator that is not available here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Why a rule was dropped.

    Attributes:
        reason: The kind of reason.
        detail: What it is about, such as the operators missing; may be empty.
    """

    reason: DropReason
    detail: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)

    def way_out(self, entry: str, opset: int) -> str:
        """Return why an entry takes no part in a run and what to do about it, as one sentence.

        Args:
            entry: Its name in the file.
            opset: Version of the model's default domain.
        """
        match self.reason:
            case DropReason.NOT_ENABLED:
                return f"it approximates, so it is off by default: --enable-rules {entry}"
            case DropReason.TIER_OFF:
                return f"it is in a tier that is off by default: --enable-rules {self.detail}"
            case DropReason.UNAVAILABLE:
                return f"it makes {self.detail}, which opset {opset} does not have"
            case DropReason.SKIPPED | DropReason.ASSUMES_FINITE:
                return f"it {self}"
            case never:
                assert_never(never)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A relation or function that a rules file declares."""

    name: str
    command: Relation | FunctionCommand
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBook:
    """Rules, in the order of their files.

    Attributes:
        rules: The rules that take part.
        declarations: Relations and functions the files declare.
        dropped: By name, the rules that do not take part.
    """

    rules: tuple[Rule, ...]
    declarations: tuple[Declaration, ...]
    dropped: Mapping[str, Dropped] = field(default_factory=dict)

    @property
    def literals(self) -> tuple[float, ...]:
        """The numbers that ``near`` facts are wanted for, ascending."""
        return tuple(sorted({number for rule in self.rules for number in rule.literals}))

    def rule(self, name: str) -> Rule:
        """Return the rule of that name.

        Raises:
            KeyError: There is none.
        """
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise KeyError(name)

    def of_kind(self, kind: RuleKind) -> tuple[Rule, ...]:
        """Return the rules of one kind."""
        return tuple(rule for rule in self.rules if rule.kind is kind)

    def select(
        self,
        *,
        skip: Collection[str] = (),
        enable: Collection[str] = (),
        is_strict: bool = False,
        available_operators: AbstractSet[str] | None = None,
    ) -> RuleBook:
        """Return the rules for one run.

        Args:
            skip: Names of rules, groups or rulesets to leave out.
            enable: Names of rules, groups or tiers to switch on that are off by themselves: those that approximate, and
                those of a tier.
            is_strict: True leaves out every rule that may change where values are infinite or NaN.
            available_operators: Those operators of the operator table that the result may use; None for all. What
                the table does not list (list cells, shapes, attribute records) is always available.

        Raises:
            UsageError: ``skip`` or ``enable`` has a name that no rule answers to.
        """
        for name in (*skip, *enable):
            if not any(name in _names(rule) for rule in self.rules):
                known = frozenset().union(*map(_names, self.rules))
                raise UsageError(f"there is no rule, group or ruleset {name!r}{did_you_mean(name, sorted(known))}")
        available = OPERATORS.keys() if available_operators is None else available_operators
        dropped = dict(self.dropped)
        kept: list[Rule] = []
        for rule in self.rules:
            missing = (rule.operators_made & OPERATORS.keys()) - available
            if not _names(rule).isdisjoint(skip):
                dropped[rule.name] = Dropped(reason=DropReason.SKIPPED)
            elif rule.floats is FloatClass.APPROXIMATES and _names(rule).isdisjoint(enable):
                dropped[rule.name] = Dropped(reason=DropReason.NOT_ENABLED)
            elif rule.tier and _names(rule).isdisjoint(enable):
                dropped[rule.name] = Dropped(reason=DropReason.TIER_OFF, detail=rule.tier)
            elif is_strict and not rule.floats.keeps_nonfinite:
                dropped[rule.name] = Dropped(reason=DropReason.ASSUMES_FINITE)
            elif missing:
                dropped[rule.name] = Dropped(reason=DropReason.UNAVAILABLE, detail=", ".join(sorted(missing)))
            else:
                kept.append(rule)
        return replace(self, rules=tuple(kept), dropped=MappingProxyType(dropped))


_Named = TypeVar("_Named", Rule, Declaration)


def shipped_rules_path() -> Path:
    """Return the rules file that ships: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).parents[1]
    installed = package / "rules.egg"
    return installed if installed.exists() else package.parent / "rules.egg"


def load_rules(paths: Iterable[str | Path] = (), *, include_shipped: bool = True) -> RuleBook:
    """Return the rules of these files.

    Args:
        paths: Rules files.
        include_shipped: True puts the file that ships before them.

    Raises:
        RulesError: A file cannot be read, is broken or unsafe, or declares a name for the second time.
    """
    files = [shipped_rules_path()] if include_shipped else []
    files += [Path(path) for path in paths]
    return read_rules((read(path), str(path)) for path in files)


def read_rules(sources: Iterable[tuple[str, str]]) -> RuleBook:
    """Return the rules of these texts, each with the name that messages call it by.

    Raises:
        RulesError: As :func:`load_rules`.
    """
    parser = new_egraph()
    rules: dict[str, Rule] = {}
    declarations: dict[str, Declaration] = {}
    for text, file in sources:
        section = ""
        for form in split(text, file).forms:
            section = form.section or section
            command = parse_form(parser, form)
            if isinstance(command, AddRuleset):
                continue
            if isinstance(command, Relation | FunctionCommand):
                _add(declarations, Declaration(name=command.name, command=command, location=form.location))
                continue
            for rule in rules_of(form, command, section):
                _add(rules, rule)
    return RuleBook(rules=tuple(rules.values()), declarations=tuple(declarations.values()))


def _add(known: dict[str, _Named], new: _Named) -> None:
    first = known.get(new.name)
    if first is not None:
        raise RulesError(f"{new.location}: `{new.name}` is already declared at {first.location}")
    known[new.name] = new


def _names(rule: Rule) -> frozenset[str]:
    """Return every name that a user may call a rule by."""
    return frozenset({rule.name, rule.entry, str(rule.kind), rule.group, rule.tier} - {""})
