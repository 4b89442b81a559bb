"""The operators that terms are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from eqsat.authoring.inference.arithmetic import ARITHMETIC
from eqsat.authoring.inference.shuffles import SHUFFLES

if TYPE_CHECKING:
    from eqsat.authoring.inference.rows import Row

ROWS: Final[Mapping[str, Row]] = {row.name: row for row in (*ARITHMETIC, *SHUFFLES)}
"""Every operator that terms can be made of, by name."""
