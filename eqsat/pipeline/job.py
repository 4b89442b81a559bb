"""What one run is asked to do: a frozen value that travels to the worker process as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from eqsat.errors import UsageError
from eqsat.text.arguments import Growth


def check_number(name: str, value: object, *, at_least: float = -math.inf, above: float = -math.inf) -> None:
    """Check that a setting is a number within bounds.

    Raises:
        UsageError: It is not.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and at_least <= value and above < value:
        return
    bound = f"above {above:g}" if above > -math.inf else f"from {at_least:g} on"
    raise UsageError(f"{name} is {value!r}; it can be a number {bound}")


def check_count(name: str, value: object, *, at_least: int) -> None:
    """Check that a setting is a whole number, and not too small.

    Raises:
        UsageError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise UsageError(f"{name} is {value!r}; it can be a whole number from {at_least} on")


class Target(StrEnum):
    """Which operators the result may use."""

    PROVIDER = "provider"
    PORTABLE = "portable"


class Prices(StrEnum):
    """Which prices are measured."""

    NEEDED = "needed"
    """Those on which the cheapest graph depends, see :mod:`eqsat.prices.frugal`."""
    ALL = "all"
    """Those of every operator of the e-graph."""
    AUTO = "auto"
    """All, where that takes less than 20 seconds, and otherwise those that are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits that hold: the parent process enforces them.

    Attributes:
        time_s: Wall-clock seconds for the whole run, from the moment at which the model is opened.
        training_s: Seconds on top of these in which a search that learns may learn about the model, before it searches.
        memory_bytes: Resident memory of the worker and its children together.
        max_enodes: E-nodes after which saturation stops.

    Raises:
        UsageError: A limit is not above zero, or is no number.
    """

    time_s: float = 180.0
    training_s: float = 0.0
    memory_bytes: int = 6 * 1024**3
    max_enodes: int = 50_000

    def __post_init__(self) -> None:
        """Refuse limits that nothing could keep to."""
        for name in ("time_s", "memory_bytes", "max_enodes"):
            check_number(name, getattr(self, name), above=0)
        check_number("training_s", self.training_s, at_least=0)

    @property
    def total_s(self) -> float:
        """Seconds for the run and for learning together."""
        return self.time_s + self.training_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run.

    Attributes:
        input_path: The model to optimise.
        output_path: Where the result goes; empty for a dry run.
        is_forced: True replaces whatever file stands at the output's path.
        providers: ONNX Runtime provider names in order of priority.
        threads: Intra-op threads the model will run with.
        input_shapes: Shapes to price, verify and measure at, by input name, for inputs with symbolic dims.
        inputs: The user's own inputs to measure and verify with: a file, a folder or ``module:function``; empty for
            random ones.
        custom_ops: Paths of libraries of custom operators.
        rule_files: Further rules files, after the ones that ship.
        skip_rules: Names of rules or rulesets to leave out.
        enable_rules: Names of rules that are off by default (lossy ones) to switch on.
        search: Name of the search.
        search_options: Options of the search, by name.
        prices: Which prices are measured.
        budget: Limits.
        target: Which operators the result may use.
        max_growth: How much larger than the input the output may be.
        is_strict: True leaves out every rule that may change where values are infinite or NaN.
        num_checks: Random inputs that the result is verified on.
        seed: Seed of every random choice.
        cost_db: Path of the price database; empty for the user's cache folder.
        scratch_dir: Folder of the worker's files, made and removed by the supervisor.
    """

    input_path: str
    output_path: str = ""
    is_forced: bool = False
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 0
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: str = ""
    custom_ops: tuple[str, ...] = ()
    rule_files: tuple[str, ...] = ()
    skip_rules: tuple[str, ...] = ()
    enable_rules: tuple[str, ...] = ()
    search: str = "auto"
    search_options: dict[str, str] = field(default_factory=dict)
    prices: Prices = Prices.AUTO
    budget: Budget = field(default_factory=Budget)
    target: Target = Target.PROVIDER
    max_growth: Growth = field(default_factory=Growth)
    is_strict: bool = False
    num_checks: int = 3
    seed: int = 0
    cost_db: str = ""
    scratch_dir: str = ""

    def to_json(self) -> str:
        """Return the job as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that :meth:`to_json` wrote."""
        fields = json.loads(text)
        for name in ("providers", "custom_ops", "rule_files", "skip_rules", "enable_rules"):
            fields[name] = tuple(fields[name])
        fields["input_shapes"] = {name: tuple(shape) for name, shape in fields["input_shapes"].items()}
        fields["budget"] = Budget(**fields["budget"])
        fields["target"] = Target(fields["target"])
        fields["max_growth"] = Growth(**fields["max_growth"])
        fields["prices"] = Prices(fields["prices"])
        return cls(**fields)
