"""Proof by evaluation over a finite field: two rational functions that agree at random points are the same.

A rule that was tested with floating-point numbers is proved where both of its sides agree in the field at
:data:`NUM_SHAPES` instances, in every element and at two independent random points each, and differ at none. What that
shows, and what it does not:

- For the shapes, attributes, indices and truths of those instances, which are drawn at random, the two sides are the
  same function of real numbers wherever both are defined: the same rational function of the elements of all inputs and
  constants, and of the values of functions such as ``exp`` at arguments that are the same on both sides.
- Two different rational functions of degree d agree at a random point with a probability of at most d / (2^61 - 1)
  (Schwartz, J. ACM 27, 1980; Zippel, EUROSAM 1979), at two points with its square. Functions that are not rational are
  random functions that obey a few laws of the real ones; what needs more is not proved, but not refuted either.
- It says nothing of rounding, overflow, NaN, infinities and integers: those are what the tests are for.

Tensor programs are compared at random points by PET (Wang et al., OSDI 2021) and over finite fields by Mirage (Wu et
al., OSDI 2025); TASO (Jia et al., SOSP 2019) proves its substitutions from axioms of its operators instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.soundness.field import FieldEvaluator
from eqsat.authoring.soundness.fieldvalues import FLOATS
from eqsat.authoring.soundness.sources import Source
from eqsat.authoring.soundness.trial import Trials

if TYPE_CHECKING:
    from eqsat.rules import RuleBook
    from eqsat.rules.instances import Drawn, Leaf

NUM_SHAPES: Final = 20
"""Instances at which both sides must agree over the field."""

MAX_INSTANCES: Final = 360
"""Instances looked at."""

_MAX_EMPTY_BATCHES: Final = 3
"""Batches without an instance at which both sides agree, after which a proof is given up."""

_BATCH: Final = 24
_MIN_OPSET: Final = 13
"""Below it some operators mean other things than their normal forms; those instances are left to the tests."""

_SIMPLE: Final = (2.0, 0.5, 4.0, 0.25, 3.0, 1.5, 0.75, 5.0)
"""Constants that stay exact when a rule computes with them in floating point."""

_EXACT_IN_HALF: Final = 16
"""Denominator of numbers that half precision holds as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """Whether a rule is proved.

    Attributes:
        is_proved: True where it is.
        num_instances: Instances at which both sides agree over the field.
        unknown: Why it is not, one line; empty where it is.
    """

    is_proved: bool
    num_instances: int = 0
    unknown: str = ""


def prove(trials: Trials, instances: Sequence[Drawn], rng: np.random.Generator) -> Proved:
    """Return whether both sides agree over the field at enough of these instances, and differ at none.

    Args:
        trials: Tries instances of the rule.
        instances: Where the rule was found right with floating-point numbers.
        rng: Source of chance.
    """
    usable = [drawn for drawn in instances if is_usable(drawn)][:MAX_INSTANCES]
    batches = (usable[start : start + _BATCH] for start in range(0, len(usable), _BATCH))
    return _proved(trials, batches, rng)


def prove_only(book: RuleBook, name: str, *, seed: int = 0) -> Proved:
    """Return whether a rule is proved, at instances drawn for it; that it was tested is taken for granted.

    Real numbers know no rounding, NaN, overflow or integers: a rule that nobody tested is not sound because of this.

    Args:
        book: All rules; facts that the rule's left side asks for come from here.
        name: The rule's name.
        seed: Seed of everything random.

    Raises:
        KeyError: There is no such rule.
    """
    rule = book.rule(name)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return _proved(Trials(book, rule), _drawn(Source(book, rule), rng), rng)


def _drawn(source: Source, rng: np.random.Generator) -> Iterator[list[Drawn]]:
    for _ in range(0, MAX_INSTANCES, _BATCH):
        samples = source.draw(rng, _BATCH)
        yield [sample.drawn for sample in samples if is_usable(sample.drawn)]


def _proved(trials: Trials, batches: Iterable[Sequence[Drawn]], rng: np.random.Generator) -> Proved:
    evaluator = FieldEvaluator(rng)
    num_agreed = num_empty = 0
    unknown = "no instance says anything about numbers"
    for batch in batches:
        num_compared = evaluator.num_compared
        found = trials.run([simplified(drawn, rng) for drawn in batch], [evaluator], rng)
        for trial in found:
            if trial.wrong:
                return Proved(is_proved=False, num_instances=num_agreed, unknown=trial.wrong)
            unknown = next((outcome.unknown for outcome in trial.outcomes.values() if outcome.unknown), unknown)
        agreed = sum(trial.is_agreed and is_telling(trial.drawn) for trial in found)
        # Where no numbers were compared, only integers, nothing is proved.
        num_agreed += min(agreed, evaluator.num_compared - num_compared)
        if num_agreed >= NUM_SHAPES:
            return Proved(is_proved=True, num_instances=num_agreed)
        num_empty = 0 if agreed else num_empty + 1
        if num_empty >= _MAX_EMPTY_BATCHES:
            break
    return Proved(is_proved=False, num_instances=num_agreed, unknown=unknown)


def is_usable(drawn: Drawn) -> bool:
    """Return whether an instance has floating-point numbers, and operators that are what their normal forms say.

    A constant that half precision rounds stands for a number that is not known well enough.
    """
    leaves = drawn.leaves.values()
    is_known = all(leaf.is_free or not leaf.is_constant or _is_exact(leaf.array) for leaf in leaves)
    return drawn.opset >= _MIN_OPSET and is_known and any(leaf.array.dtype.name in FLOATS for leaf in leaves)


def _is_exact(array: np.ndarray) -> bool:
    return array.dtype != np.float16 or bool((array.astype(np.float64) * _EXACT_IN_HALF % 1 == 0).all())


def is_telling(drawn: Drawn) -> bool:
    """Return whether agreement at an instance says something: no tensor is empty, and not all are single numbers."""
    sizes = [leaf.array.size for leaf in drawn.leaves.values()]
    return min(sizes, default=0) > 0 and max(sizes, default=0) > 1


def simplified(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Return an instance whose constant numbers, wherever any would do, are small and exact."""
    leaves = {name: _simplified(leaf, rng) for name, leaf in drawn.leaves.items()}
    return replace(drawn, leaves=leaves, has_extremes=False)


def _simplified(leaf: Leaf, rng: np.random.Generator) -> Leaf:
    array = leaf.array
    if not (leaf.is_free and leaf.is_constant and array.size and array.dtype.kind == "f"):
        return leaf
    first = array.reshape(-1)[0]
    if array.size > 1 and not bool((array == first).all()):
        return leaf
    sign = -1.0 if first < 0 else 1.0
    return replace(leaf, array=np.full(array.shape, sign * float(rng.choice(_SIMPLE)), array.dtype))
