"""Where the instances of a rule come from: its own INSTANCE lines, and the generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from eqsat.rules.instances import SIZES, Precision, draw
from eqsat.soundness.generate import DTYPE_SHARES, ConflictError, Generator
from eqsat.soundness.values import SHARES, Style, restyled

if TYPE_CHECKING:
    import numpy as np

    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn

_Kind = TypeVar("_Kind")

_LETTERS: Final = (*SIZES, *SIZES, *SIZES, 1, 0)
"""What a letter of an INSTANCE line stands for: now and then an axis is empty."""

_SMALL_LETTERS: Final = (1, 2, 2)
_PRECISIONS: Final = (Precision.DOUBLE, Precision.SINGLE, Precision.DOUBLE, Precision.SINGLE, Precision.HALF)

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

    def __init__(self, book: RuleBook, rule: Rule, forced: str = "") -> None:
        """Prepare to draw.

        Args:
            book: All rules.
            rule: The rule.
            forced: Name of a rule of facts that is to be used wherever it can be; empty for none.
        """
        self._rule = rule
        self._generator = Generator(book, rule, forced)
        self._has_lines = bool(rule.instances) and not forced
        self._num_written = 0
        self._styles = Luck(SHARES[rule.floats])
        self._dtypes = Luck(DTYPE_SHARES)
        self._num_misses = 0
        self._num_made = 0

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
        num_lines = max(count // 2, min(len(self._rule.instances), count)) if self._has_lines else 0
        made: list[Sample] = []
        for _ in range(count - num_lines):
            sample = None if is_over() else self._made(rng, is_small=is_small)
            if sample is None:
                break
            made.append(sample)
        if self._has_lines:
            num_lines = count - len(made)
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
        return Sample(drawn=restyled(drawn, style, rng), style=style, line=line)

    def _made(self, rng: np.random.Generator, *, is_small: bool) -> Sample | None:
        # Where the generator seldom finds anything, few tries are worth their time.
        is_hopeless = self._num_misses > _MAX_MISSES and self._num_made == 0
        for _ in range(_MAX_MISSES // 20 if is_hopeless and self._has_lines else _MAX_MISSES):
            style, dtype = self._styles.choose(rng), self._dtypes.choose(rng)
            try:
                drawn = self._generator.draw(rng, style=style, dtype=dtype, is_small=is_small)
            except ConflictError:
                self._num_misses += 1
                continue
            self._num_made += 1
            return Sample(drawn=drawn, style=style, dtype=dtype)
        return None
