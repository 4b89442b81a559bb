"""Sizes of 0 and 1 of every symbolic dimension."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eqsat.verify import Draw, Reason, verification_sizes
from eqsat.verify.sizes import MAX_EDGES, edge_sizes
from ir.reader import read
from tests.verify.models import FLOAT, INT64, node, save, weights
from tests.verify.pairs import Constants, Nodes, Pair, pair


def test_every_dimension_is_zero_and_one_in_turn(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx", [node("Relu", "x", "y")], [("x", FLOAT, ("rows", 3, "cells"))], [("y", FLOAT, None)]
    )
    graph = read(path)
    base = verification_sizes(graph, {})[0]
    names = [{graph.symbols.name(s): size for s, size in sizes.items()} for sizes in edge_sizes(graph, {}, base)]
    rows, cells = (base[graph.symbols.intern(name)] for name in ("rows", "cells"))
    assert names == [
        {"rows": 1, "cells": 1},
        {"rows": 0, "cells": cells},
        {"rows": 1, "cells": cells},
        {"rows": rows, "cells": 0},
        {"rows": rows, "cells": 1},
    ]
    assert list(edge_sizes(graph, {"x": (2, 3, 5)}, {})) == [], "what the user gives stays"


def test_dimensions_without_a_name_change_together(tmp_path: Path) -> None:
    inputs = [(f"x{i}", FLOAT, ("?", 8)) for i in range(20)]
    path = save(
        tmp_path / "m.onnx", [node("Sum", " ".join(n for n, _, _ in inputs), "y")], inputs, [("y", FLOAT, None)]
    )
    graph = read(path)
    edges = list(edge_sizes(graph, {}, verification_sizes(graph, {})[1]))
    assert len(edges) <= MAX_EDGES
    assert [set(sizes.values()) for sizes in edges] == [{1}, {0}]


def test_an_error_that_shows_only_at_a_size_of_one_is_found(tmp_path: Path) -> None:
    both = pair(tmp_path, (4, "steps"))
    found = both.check(([node("Relu", "x", "y")], {}), ([node("Squeeze", "x", "s"), node("Relu", "s", "y")], {}))
    assert found.reason is Reason.DIFFERENT
    assert found.failure is not None
    assert (found.failure.draw, found.failure.sizes) == (Draw.EDGE, {"steps": 1})


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceProd"])
def test_a_reduction_of_nothing_keeps_its_shape(tmp_path: Path, operator: str) -> None:
    both = pair(tmp_path, ("rows", 12), opset=13)
    right: tuple[Nodes, Constants] = ([node(operator, "x", "y", axes=[1], keepdims=0)], {})
    other: tuple[Nodes, Constants] = ([node(operator, "x", "y", axes=[1], keepdims=1)], {})
    assert both.check(right, right).is_equal
    assert both.check(right, other).reason is Reason.DIFFERENT


def test_a_mean_of_nothing_is_not_a_sum_of_nothing(tmp_path: Path) -> None:
    both = pair(tmp_path, (3, "steps"))
    mean = ([node("ReduceMean", "x axes", "y")], {"axes": np.array([1])})
    parts = [node("ReduceSum", "x axes", "s"), node("Shape", "x", "n", start=1)]
    parts += [node("Cast", "n", "f", to=FLOAT), node("Div", "s f", "y")]
    found = both.check(mean, (parts, {"axes": np.array([1])}))
    assert found.reason is Reason.DIFFERENT
    assert found.failure is not None
    assert found.failure.sizes == {"steps": 0}


def test_an_error_where_there_is_nothing_to_compute_is_noted(tmp_path: Path) -> None:
    both = pair(tmp_path, ("batch", 12))
    split = ([node("Unsqueeze", "x axes", "y")], {"axes": np.array([1])})
    shaped = ([node("Reshape", "x to", "y")], {"to": np.array([-1, 1, 12])})
    assert both.check(split, shaped).is_equal
    shaped = ([node("Reshape", "x to", "y")], {"to": np.array([0, -1, 12])})
    found = both.check(split, shaped)
    assert found.is_equal
    assert found.not_run_at == ({"batch": 0},)


def test_an_error_where_there_is_something_to_compute_is_refused(tmp_path: Path) -> None:
    both = Pair(tmp_path, [("x", FLOAT, (4,)), ("past", FLOAT, ("past", 4))], [("y", FLOAT, None)])
    plain = ([node("Concat", "past row", "c", axis=0), node("ReduceSum", "c", "s"), node("Add", "s x", "y")],)
    asked = ([node("Reshape", "past to", "p"), node("Concat", "p row", "c", axis=0), *plain[0][1:]],)
    constants = {"row": weights(1, 4), "to": np.array([0, -1])}
    found = both.check((plain[0], constants), (asked[0], constants))
    assert found.reason is Reason.CANDIDATE_FAILED


def test_sizes_that_the_model_does_not_take_are_no_evidence(tmp_path: Path) -> None:
    both = Pair(tmp_path, [("x", FLOAT, ("n",)), ("i", INT64, (2,))], [("y", FLOAT, None)])
    gather: tuple[Nodes, Constants] = ([node("Gather", "x i", "y")], {})
    found = both.check(gather, gather)
    assert found.is_equal
    assert {"n": 0} in [skipped.sizes for skipped in found.sizes_skipped]
