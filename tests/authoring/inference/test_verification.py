"""The judge's word on entries: what is wrong is refused, and what can be saved of an entry is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from eqsat.authoring.inference.entries import Entry
from eqsat.authoring.inference.verification import Refused, Verified, Verifier
from eqsat.rules import RuleBook
from eqsat.runtime import Runtime

Entries = Callable[[str, int], list[Entry]]


@pytest.fixture
def verifier(facts: RuleBook, runtime: Runtime) -> Verifier:
    return Verifier(facts, runtime, seed=0, time_limit_s=20.0, deadline=math.inf, clock=lambda: 0.0)


@pytest.fixture
def entry(entries: Entries) -> Entry:
    return next(entry for entry in entries("Transpose Relu", 2) if entry.name == "relu-of-relu-to-relu")


def test_a_sound_entry_is_believed(entry: Entry, verifier: Verifier) -> None:
    found = verifier.verified(entry)
    assert isinstance(found, Verified)
    assert found.rule.name == entry.name
    assert found.num_instances >= 60


def test_a_wrong_entry_is_refused(entry: Entry, verifier: Verifier) -> None:
    wrong = replace(entry, form=entry.form.replace("(Relu x)\n", "x\n"))
    assert wrong.form != entry.form
    found = verifier.verified(wrong)
    assert isinstance(found, Refused)
    assert found.reason
    assert "\n" not in found.reason


def test_a_near_miss_that_matches_is_dropped(entry: Entry, verifier: Verifier) -> None:
    line = "x[2,5] | (Relu (Relu x))"
    found = verifier.verified(replace(entry, near_misses=(line,)))
    assert isinstance(found, Verified)
    assert found.entry.near_misses == ()


def test_after_the_deadline_nothing_is_believed(entry: Entry, facts: RuleBook, runtime: Runtime) -> None:
    late = Verifier(facts, runtime, seed=0, time_limit_s=20.0, deadline=0.0, clock=lambda: 1.0)
    assert isinstance(late.verified(entry), Refused)
