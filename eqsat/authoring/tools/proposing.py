"""New rules, proposed in a process of its own, as text that can be put into a rules file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eqsat.authoring.inference import Question, infer
from eqsat.authoring.tools.catalogue import read_book
from eqsat.prices.database import PriceDatabase
from eqsat.prices.pricing import Pricer
from eqsat.rules.instances import DEFAULT_OPSET
from eqsat.runtime.runtime import Runtime
from eqsat.runtime.settings import SessionSettings

if TYPE_CHECKING:
    from eqsat.authoring.inference import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What rules are looked for.

    Attributes:
        operators: Operators of their terms.
        files: Further rules files; what they derive is not proposed.
        max_operators: Operators of one side.
        time_limit_s: Seconds after which what was found is all there is.
        keeps_derivable: Whether rules are shown too that the rules at hand derive.
        is_measured: Whether both sides are measured, and the proposals ranked by that.
        provider: What they are measured on.
        threads: Intra-op threads; 0 is ONNX Runtime's default.
        cost_db: Price database; empty for the user's own.
        seed: Of everything random.
    """

    operators: tuple[str, ...]
    files: tuple[Path, ...] = ()
    max_operators: int = 3
    time_limit_s: float = 300.0
    keeps_derivable: bool = False
    is_measured: bool = False
    provider: str = "CPUExecutionProvider"
    threads: int = 0
    cost_db: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A rule that could be added, as plain values.

    Attributes:
        name: Its name.
        text: The entry.
        level: How well it is known to be sound.
        num_instances: Instances at which both sides were equal.
        is_derivable: Whether the rules at hand derive it.
        left_us: Price of the left side; None where nothing was measured.
        right_us: Price of the right side.
    """

    name: str
    text: str
    level: str
    num_instances: int
    is_derivable: bool
    left_us: float | None
    right_us: float | None

    def entry(self) -> str:
        """Return the entry with a note of what is known of it, ready to be put into a rules file."""
        note = f"{self.level} at {self.num_instances} instances"
        if self.left_us is not None and self.right_us is not None:
            note += f"; alone, {self.left_us:.1f} us became {self.right_us:.1f} us"
        if self.is_derivable:
            note += "; follows from the rules that are there"
        return f"; NOTE      {note}\n{self.text.strip()}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search for rules found.

    Attributes:
        rules: The rules.
        cuts: What was left out, in words.
    """

    rules: tuple[Proposed, ...]
    cuts: tuple[str, ...]

    def to_fields(self) -> Mapping[str, object]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def propose(wish: Wish) -> Iterator[Found]:
    """Yield what was found: once.

    Raises:
        RulesError: A rules file is broken.
        UsageError: An operator is not known.
        ProviderError: The provider is not available.
    """
    book = read_book(wish.files)
    with ExitStack() as stack:
        pricer = _pricer(wish, stack) if wish.is_measured else None
        question = Question(
            operators=wish.operators,
            max_operators=wish.max_operators,
            time_limit_s=wish.time_limit_s,
            seed=wish.seed,
            keeps_derivable=wish.keeps_derivable,
        )
        found = infer(question, book=book, pricer=pricer)
    yield Found(rules=tuple(_plain(each) for each in found.proposals), cuts=found.cuts)


def _pricer(wish: Wish, stack: ExitStack) -> Pricer:
    runtime = stack.enter_context(Runtime())
    runtime.require_providers((wish.provider,))
    database = stack.enter_context(PriceDatabase(Path(wish.cost_db) if wish.cost_db else None))
    settings = SessionSettings(providers=(wish.provider,), threads=wish.threads)
    return Pricer(
        runtime=runtime, database=database, settings=settings, opset=DEFAULT_OPSET, now=time.time, clock=time.monotonic
    )


def _plain(found: Proposal) -> Proposed:
    return Proposed(
        name=found.name,
        text=found.text,
        level=found.level.value,
        num_instances=found.num_instances,
        is_derivable=found.is_derivable,
        left_us=None if found.gain is None else found.gain.left_us,
        right_us=None if found.gain is None else found.gain.right_us,
    )
