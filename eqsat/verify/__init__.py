"""Does one model compute what another computes? Random inputs that respect their use, comparison, judgement."""

from eqsat.verify.content import Content, Role
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.inputs import InputSpec, input_specs, random_feeds
from eqsat.verify.judge import Runner, Verdict
from eqsat.verify.sizes import default_sizes, verification_sizes
from eqsat.verify.tolerance import Difference, Tolerance, compare, tolerance
from eqsat.verify.verify import (
    FailingCase,
    OutputCheck,
    Reason,
    SkippedSize,
    Verification,
    verify,
)

__all__ = [
    "Content",
    "Difference",
    "FailingCase",
    "InputSpec",
    "OutputCheck",
    "Reason",
    "Role",
    "Runner",
    "SkippedSize",
    "Tolerance",
    "UnsupportedInputError",
    "Verdict",
    "Verification",
    "compare",
    "default_sizes",
    "input_specs",
    "random_feeds",
    "tolerance",
    "verification_sizes",
    "verify",
]
