"""Whether something wrong is the rule's fault: evaluators have faults of their own, and symbols hide what fits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.rules.instances import Apply, Drawn, Symbol

if TYPE_CHECKING:
    from eqsat.authoring.soundness.evaluator import Evaluator
    from eqsat.authoring.soundness.trial import Trial, Trials
    from eqsat.rules.instances import Leaf, Term

_GAP: Final = re.compile(r"differs by (?P<gap>\S+) where (?P<allowed>\S+) is allowed")
_VISIBLE: Final = 1e4
"""How many times what is allowed in double precision a difference must be to be seen in single precision as well."""

_DOUBLE, _SINGLE = 11, 1


def is_confirmed(trials: Trials, trial: Trial, evaluators: Sequence[Evaluator], rng: np.random.Generator) -> bool:
    """Return whether something wrong is the rule's fault.

    What one evaluator found wrong in double precision must be so in single precision too, and a right side that cannot
    be where sizes are symbols must not be possible where they are numbers.

    Args:
        trials: Tries instances of the rule.
        trial: An instance at which something is wrong.
        evaluators: Who evaluates in single precision: ONNX Runtime first.
        rng: Source of chance.
    """
    if trial.problem and trial.drawn.sizes and not any(each.disagreements for each in trial.outcomes.values()):
        found = trials.run([concrete(trial.drawn)], evaluators, rng)
        return bool(found and found[0].wrong)
    if not _may_be_a_fault(trial):
        return True
    found = trials.run([narrowed(trial.drawn)], evaluators, rng)
    return not (found and found[0].outcomes.get(evaluators[0].name) and found[0].is_agreed)


def _may_be_a_fault(trial: Trial) -> bool:
    """Whether single precision would show the difference: it is large, and nothing is infinite or NaN."""
    leaves = trial.drawn.leaves.values()
    if trial.problem or not any(leaf.number == _DOUBLE for leaf in leaves):
        return False
    if any(leaf.array.dtype.kind == "f" and not bool(np.isfinite(leaf.array).all()) for leaf in leaves):
        return False
    gap = _GAP.search(trial.wrong)
    return gap is None or float(gap["gap"]) > _VISIBLE * float(gap["allowed"])


def narrowed(drawn: Drawn) -> Drawn:
    """Return an instance with single in place of double precision."""
    leaves = {name: _narrowed_leaf(leaf) for name, leaf in drawn.leaves.items()}
    lets = {name: _narrowed_term(term) for name, term in drawn.lets.items()}
    return replace(drawn, leaves=leaves, lets=lets, roots=tuple(_narrowed_term(root) for root in drawn.roots))


def concrete(drawn: Drawn) -> Drawn:
    """Return an instance with the sizes that its symbols stand for in their place."""
    leaves = {name: replace(leaf, dims=leaf.array.shape) for name, leaf in drawn.leaves.items()}
    lets = {name: _concrete_term(term, drawn.sizes) for name, term in drawn.lets.items()}
    roots = tuple(_concrete_term(root, drawn.sizes) for root in drawn.roots)
    return replace(drawn, leaves=leaves, lets=lets, roots=roots, sizes={})


def _concrete_term(term: Term, sizes: Mapping[str, int]) -> Term:
    match term:
        case Symbol(name):
            return sizes[name]
        case Apply(name, arguments):
            return Apply(name, tuple(_concrete_term(argument, sizes) for argument in arguments))
        case _:
            return term


def _narrowed_leaf(leaf: Leaf) -> Leaf:
    if leaf.number != _DOUBLE:
        return leaf
    with np.errstate(all="ignore"):
        return replace(leaf, number=_SINGLE, array=leaf.array.astype(np.float32))


def _narrowed_term(term: Term) -> Term:
    """Element types stand in the attributes of a few operators."""
    if not isinstance(term, Apply):
        return term
    arguments = tuple(_narrowed_term(argument) for argument in term.arguments)
    if term.name in _TYPED:
        place = _TYPED[term.name]
        arguments = tuple(
            _SINGLE if index == place and argument == _DOUBLE else argument for index, argument in enumerate(arguments)
        )
    return Apply(term.name, arguments)


_TYPED: Final = {"Cast": 1, "ConstantOfShapeA": 2, "EyeLikeA": 0}
"""Where the element type stands among the arguments."""
