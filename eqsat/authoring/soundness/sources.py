"""Where the instances of a rule come from: its own INSTANCE lines, and the generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from eqsat.authoring.soundness.generate import DTYPE_SHARES, OPSETS, ConflictError, Generator
from eqsat.authoring.soundness.values import SHARES, Style, restyled, stretched
from eqsat.rules.instances import DEFAULT_OPSET, SIZES, Precision, draw

if TYPE_CHECKING:
    import numpy as np

    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn

_Kind = TypeVar("_Kind")

_LETTERS: Final = (*SIZES, *SIZES, *SIZES, 1, 0)
"""What a letter of an INSTANCE line stands for: now and then an axis is empty."""

_SMALL_LETTERS: Final = (1, 2, 2)
_PRECISIONS: Final = (Precision.DOUBLE, Precision.SINGLE, Precision.DOUBLE, Precision.SINGLE, Precision.HALF)

_SHARE_STRETCHED: Final = 0.15
"""How often a constant is far from one: what rules make of constants must not overflow nor vanish."""

_MAX_MISSES: Final = 400
"""Draws that may lead nowhere before the generator is given up for this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An instance and how it came about.

    Attributes:
        drawn: The instance.
        style: What its elements are like.
        dtype: Element type asked of the generator; zero for an INSTANCE line.
        line: Which INSTANCE line; -1 for one of the generator's.
    """

    drawn: Drawn
    style: Style
    dtype: int = 0
    line: int = -1


@final
class Luck(Generic[_Kind]):
    """Shares of kinds of instances that follow what came of them: what cannot be judged is drawn less."""

    def __init__(self, shares: Mapping[_Kind, float]) -> None:
        self._shares = dict(shares)
        self._tried: Counter[_Kind] = Counter()
        self._judged: Counter[_Kind] = Counter()

    def choose(self, rng: np.random.Generator) -> _Kind:
        """Return a kind."""
        weights = [
            share * (self._judged[kind] + 1.0) / (self._tried[kind] + 1.0) + 0.01
            for kind, share in self._shares.items()
        ]
        return list(self._shares)[int(rng.choice(len(weights), p=[each / sum(weights) for each in weights]))]

    def learn(self, kind: _Kind, *, is_judged: bool) -> None:
        """Take note of whether an instance of a kind could be judged."""
        self._tried[kind] += 1
        self._judged[kind] += is_judged


@final
class Source:
    """Draws instances of a rule."""

    def __init__(
        self, book: RuleBook, rule: Rule, forced: str = "", *, shares: Mapping[Style, float] | None = None
    ) -> None:
        """Prepare to draw.

        Args:
            book: All rules.
            rule: The rule.
            forced: Name of a rule of facts that is to be used wherever it can be; empty for none.
            shares: How often elements of each style are drawn; by the rule's float class where it is left out.
        """
        self._rule = rule
        self._generator = Generator(book, rule, forced)
        self._has_lines = bool(rule.instances) and not forced
        self._num_written = 0
        self._styles = Luck(SHARES[rule.floats] if shares is None else shares)
        self._dtypes = Luck(DTYPE_SHARES)

    def draw(
        self,
        rng: np.random.Generator,
        count: int,
        *,
        is_small: bool = False,
        is_over: Callable[[], bool] = lambda: False,
    ) -> list[Sample]:
        """Return up to ``count`` instances, half of them from INSTANCE lines where there are such.

        Args:
            rng: Source of chance.
            count: How many are wanted.
            is_small: True for sizes of one and two alone, with three among them at times.
            is_over: Tells when there is no more time.
        """
        num_wanted = min(count // 2, count - len(self._rule.instances)) if self._has_lines else count
        made: list[Sample] = []
        # Instances of one opset share an e-graph: two opsets at a time are enough.
        opsets = (DEFAULT_OPSET, int(rng.choice(OPSETS)))
        # Where there are lines, a generator that seldom finds anything is not worth its time.
        num_left = count
        while len(made) < num_wanted and not is_over():
            sample, num_misses = self._made(
                rng, opsets, num_left if self._has_lines else _MAX_MISSES, is_small=is_small
            )
            num_left -= num_misses
            if sample is None:
                break
            made.append(sample)
        num_lines = count - len(made) if self._has_lines else 0
        return made + [self._written(rng, is_small=is_small) for _ in range(num_lines)]

    def learn(self, sample: Sample, *, is_judged: bool) -> None:
        """Take note of whether an instance could be judged."""
        self._styles.learn(sample.style, is_judged=is_judged)
        if sample.line < 0:
            self._dtypes.learn(sample.dtype, is_judged=is_judged)

    def _written(self, rng: np.random.Generator, *, is_small: bool) -> Sample:
        line = self._num_written % len(self._rule.instances)
        precision = _PRECISIONS[self._num_written // len(self._rule.instances) % len(_PRECISIONS)]
        self._num_written += 1
        letters = _SMALL_LETTERS if is_small else (_LETTERS if rng.random() < 0.5 else SIZES)
        style = self._styles.choose(rng)
        drawn = draw(self._rule.instances[line], rng, precision, letters)
        return Sample(drawn=_at_times_stretched(restyled(drawn, style, rng), rng), style=style, line=line)

    def _made(
        self, rng: np.random.Generator, opsets: Sequence[int], max_misses: int, *, is_small: bool
    ) -> tuple[Sample | None, int]:
        """An instance of the generator's, None where it finds none, and how often it missed."""
        for num_misses in range(max_misses + 1):
            style, dtype = self._styles.choose(rng), self._dtypes.choose(rng)
            try:
                opset = int(rng.choice(opsets))
                drawn = self._generator.draw(rng, style=style, dtype=dtype, opset=opset, is_small=is_small)
            except ConflictError:
                continue
            return Sample(drawn=_at_times_stretched(drawn, rng), style=style, dtype=dtype), num_misses
        return None, max_misses + 1


def _at_times_stretched(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    return stretched(drawn, rng) if rng.random() < _SHARE_STRETCHED else drawn
