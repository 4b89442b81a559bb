"""Rewrite rules: read from ``rules.egg``, checked, and turned into an e-graph program.

:func:`load_rules` reads, :meth:`RuleBook.select` chooses, :func:`gate` makes the program, :func:`declare` gives it to
an e-graph.
"""

from __future__ import annotations

from eqsat.rules.book import Dropped, DropReason, RuleBook, load_rules, read_rules, shipped_rules_path
from eqsat.rules.gate import NOOP, GatedRule, Program, declare, gate
from eqsat.rules.lint import Finding, Severity, lint
from eqsat.rules.rule import FloatClass, Rule, RuleKind
from eqsat.rules.signatures import Role, Signature, Signatures

__all__ = [
    "NOOP",
    "DropReason",
    "Dropped",
    "Finding",
    "FloatClass",
    "GatedRule",
    "Program",
    "Role",
    "Rule",
    "RuleBook",
    "RuleKind",
    "Severity",
    "Signature",
    "Signatures",
    "declare",
    "gate",
    "lint",
    "load_rules",
    "read_rules",
    "shipped_rules_path",
]
