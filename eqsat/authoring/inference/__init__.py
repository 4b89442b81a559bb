"""Rules that nobody wrote: found by enumerating small terms, as in Ruler and TASO.

:func:`infer` enumerates (``space``), pairs what is equal at random points (``discovery``), learns under which
conditions it is (``learning``), writes it as entries of a rules file (``entries``), leaves out what follows from other
rules (``derivation``) and has the rest judged (``verification``).
"""

from __future__ import annotations

from eqsat.authoring.inference.gain import Gain
from eqsat.authoring.inference.infer import Inference, Proposal, Question, infer
from eqsat.authoring.inference.operators import ROWS

__all__ = ["ROWS", "Gain", "Inference", "Proposal", "Question", "infer"]
