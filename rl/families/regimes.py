"""Which rules a task may use: those that are on by default, those of every tier, or only what TASO knows of."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final, assert_never

from eqsat.rules.book import load_rules
from eqsat.rules.rule import RuleKind
from ir.availability import available_operators
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.rules.book import RuleBook

TASO_OPERATORS: Final = frozenset(
    {
        *("MatMul", "Add", "Mul", "Conv", "Relu", "Sigmoid", "Tanh", "Concat", "Split", "Transpose"),
        *("MaxPool", "AveragePool", "Pad", "Identity"),
    }
)
"""The operators of TASO's substitutions (Jia et al. 2019, SOSP, table 1) that ONNX has; padding enlarges a kernel."""

WIDE: Final = "wide"
"""The tier of the rules that only widen a search."""


class Regime(StrEnum):
    """A choice of rules."""

    DEFAULT = "default"
    """What a run uses where nothing is said."""
    ALL = "all"
    """The rules that only widen the search too."""
    TASO = "taso"
    """Rules of every tier that speak of TASO's operators and of no other."""


@cache
def rules_of(regime: Regime, opset: int) -> RuleBook:
    """Return the rules of a regime for models of an opset; none of them approximates.

    Args:
        regime: The regime.
        opset: Version of the default domain.
    """
    available = available_operators(opset, has_provider_operators=True)
    book = load_rules()
    match regime:
        case Regime.DEFAULT:
            return book.select(available_operators=available)
        case Regime.ALL:
            return book.select(enable=(WIDE,), available_operators=available)
        case Regime.TASO:
            others = [
                rule.name
                for rule in book.rules
                if rule.kind is not RuleKind.FACTS
                and not (rule.operators_matched | rule.operators_made) & OPERATORS.keys() <= TASO_OPERATORS
            ]
            return book.select(enable=(WIDE,), skip=others, available_operators=available)
        case never:
            assert_never(never)
