"""What is known of a rule after it was judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ir.graph import Graph


class Level(StrEnum):
    """How well a rule is known to be sound, best first."""

    PROVED = "proved"
    """Both sides are equal over a finite field, at random shapes and points: an error has a chance of 2^-60."""
    TESTED = "tested"
    """Both sides gave the same numbers at 200 random instances or more."""
    ASSUMED = "assumed"
    """Nobody has looked; no rule that ships is of this level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """The smallest instance found at which a rule is wrong.

    Attributes:
        rule: Name of the rule.
        reason: What differs, one line.
        graph: The left side.
        feeds: Elements of each of its inputs.
        source: A Python program that needs only onnx, numpy and (where it says so) onnxruntime, builds both sides and
            prints what they give.
    """

    rule: str
    reason: str
    graph: Graph
    feeds: Mapping[str, np.ndarray]
    source: str

    def script(self) -> str:
        """Return the program that shows the difference, to be saved and run."""
        return self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found out about a rule.

    Attributes:
        rule: Name of the rule.
        level: How well it is known to be sound; None where it is not.
        is_sound: True where the rule may be used.
        num_instances: Instances at which both sides were evaluated and found equal.
        reason: Why the rule is refused, one line; empty for a sound one.
        counterexample: An instance at which it is wrong; None where none was found.
        unknown: What stayed unknown, one line; empty where nothing did. An unknown is a no.
    """

    rule: str
    level: Level | None
    is_sound: bool
    num_instances: int
    reason: str = ""
    counterexample: Counterexample | None = None
    unknown: str = ""
