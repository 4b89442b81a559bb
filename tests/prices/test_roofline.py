"""What a kernel is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from eqsat.prices.micro import MicroMaker
from eqsat.prices.problem import lay_out
from eqsat.prices.roofline import kernel
from eqsat.runtime import CPU_PROVIDER
from tests.pipeline import models


@pytest.mark.parametrize(
    ("order", "name"), [((0, 2, 1, 3), "Transpose/rows"), ((0, 1, 3, 2), "Transpose"), ((3, 0, 1, 2), "Transpose")]
)
def test_a_transposition_that_keeps_the_last_axis_is_another_kernel(
    tmp_path: Path, order: tuple[int, ...], name: str
) -> None:
    shape = (2, 3, 4, 5)
    node = helper.make_node("Transpose", ["x"], ["y"], perm=order)
    made = models.make([node], [("x", list(shape))], [("y", [shape[axis] for axis in order])])
    session = models.session(tmp_path, made, models.rules())
    wanted = lay_out(session, MicroMaker(session, {}), CPU_PROVIDER).wanted()
    (alone,) = (each for each in wanted if each.enodes[0].operator == "Transpose")
    assert kernel(session, alone) == name
