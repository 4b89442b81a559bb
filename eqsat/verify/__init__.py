"""Does one model compute what another computes? Random inputs that respect their use, comparison, judgement."""

from eqsat.verify.content import Content, Role
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.inputs import InputSpec, input_specs, random_feeds
from eqsat.verify.judge import Runner, Verdict
from eqsat.verify.plan import InputPlan, OriginalFailedError, find_plan, input_plan
from eqsat.verify.sizes import default_sizes, verification_sizes
from eqsat.verify.tolerance import Difference, Tolerance, compare, tolerance
from eqsat.verify.trials import Draw, SkippedSize, Trials, prepare
from eqsat.verify.verify import FailingCase, OutputCheck, Reason, Verification, check, verify

__all__ = [
    "Content",
    "Difference",
    "Draw",
    "FailingCase",
    "InputPlan",
    "InputSpec",
    "OriginalFailedError",
    "OutputCheck",
    "Reason",
    "Role",
    "Runner",
    "SkippedSize",
    "Tolerance",
    "Trials",
    "UnsupportedInputError",
    "Verdict",
    "Verification",
    "check",
    "compare",
    "default_sizes",
    "find_plan",
    "input_plan",
    "input_specs",
    "prepare",
    "random_feeds",
    "tolerance",
    "verification_sizes",
    "verify",
]
