"""Recurrent operators over the field, by their definitions in the ONNX operator specification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from eqsat.authoring.soundness import fieldnumbers as f
from eqsat.authoring.soundness.evaluator import UnevaluableError
from eqsat.authoring.soundness.fieldfunctions import ONE, given, sigmoid, tanh
from eqsat.authoring.soundness.fieldproducts import integer, matmul

if TYPE_CHECKING:
    from eqsat.authoring.soundness.fieldfunctions import Attributes, Inputs
    from eqsat.authoring.soundness.fieldnumbers import Numbers
    from eqsat.authoring.soundness.fieldpoint import Point

States: TypeAlias = "tuple[Numbers, ...]"
"""What is handed from one place of a sequence to the next: the output first."""

Step: TypeAlias = "Callable[[Numbers, States], States]"

MultiKernel: TypeAlias = "Callable[[Point, Attributes, Inputs], tuple[Numbers, ...]]"


def _optional(inputs: Inputs, place: int) -> np.ndarray | None:
    return inputs[place] if place < len(inputs) else None


def _run(
    attributes: Attributes, inputs: Inputs, steps: Sequence[Step], starts: Sequence[Numbers | None]
) -> tuple[Numbers, ...]:
    """Return the outputs of a recurrent operator.

    Args:
        attributes: Its attributes.
        inputs: Its inputs; the first is of shape (places, batch, size).
        steps: For each direction, what happens at one place.
        starts: The first state of each kind, of shape (directions, batch, hidden size); None for zeros.

    Raises:
        UnevaluableError: Sequences end early, or the layout is the other one.
    """
    x, lengths = given(inputs, 0), _optional(inputs, 4)
    if attributes["layout"] or (lengths is not None and bool((lengths != x.shape[0]).any())):
        raise UnevaluableError("sequences of several lengths, or batches first")
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[str(attributes["direction"])]
    shape = (len(directions), x.shape[1], integer(attributes, "hidden_size"))
    firsts = [np.zeros_like(x, shape=shape) if start is None else start for start in starts]
    outputs = np.zeros_like(x, shape=(x.shape[0], *shape))
    lasts = [np.zeros_like(x, shape=shape) for _ in starts]
    for direction, is_backwards in enumerate(directions):
        states = tuple(first[direction] for first in firsts)
        places = range(x.shape[0])
        for place in reversed(places) if is_backwards else places:
            states = steps[direction](x[place], states)
            outputs[place, direction] = states[0]
        for last, state in zip(lasts, states, strict=True):
            last[direction] = state
    return (outputs, *lasts)


def _gates(inputs: Inputs, direction: int, count: int) -> list[tuple[Numbers, Numbers, Numbers, Numbers]]:
    """Return for each gate its weights, its recurrent weights and their biases."""
    weights, recurrent = (np.split(given(inputs, place)[direction], count) for place in (1, 2))
    biases = _optional(inputs, 3)
    size = recurrent[0].shape[0]
    halves = np.zeros(2 * count * size, np.uint64) if biases is None else biases[direction]
    pieces = np.split(halves, 2 * count)
    return [(weights[gate], recurrent[gate], pieces[gate], pieces[count + gate]) for gate in range(count)]


def _affine(x: Numbers, weights: Numbers, bias: Numbers) -> Numbers:
    return f.add(matmul(x, weights.swapaxes(0, 1)), bias)


def _lstm_step(point: Point, inputs: Inputs, direction: int) -> Step:
    gates = _gates(inputs, direction, 4)
    peepholes = _optional(inputs, 7)
    size = gates[0][1].shape[0]
    seen = np.zeros(3 * size, np.uint64) if peepholes is None else peepholes[direction]
    peep_input, peep_output, peep_forget = np.split(seen, 3)

    def step(x: Numbers, states: States) -> States:
        hidden, cell = states
        sums = [f.add(_affine(x, w, wb), _affine(hidden, r, rb)) for w, r, wb, rb in gates]
        entering = sigmoid(point, f.add(sums[0], f.multiply(peep_input, cell)))
        forgetting = sigmoid(point, f.add(sums[2], f.multiply(peep_forget, cell)))
        new_cell = f.add(f.multiply(forgetting, cell), f.multiply(entering, tanh(point, sums[3])))
        leaving = sigmoid(point, f.add(sums[1], f.multiply(peep_output, new_cell)))
        return f.multiply(leaving, tanh(point, new_cell)), new_cell

    return step


def _lstm(point: Point, attributes: Attributes, inputs: Inputs) -> tuple[Numbers, ...]:
    steps = [_lstm_step(point, inputs, direction) for direction in range(given(inputs, 1).shape[0])]
    return _run(attributes, inputs, steps, [_optional(inputs, 5), _optional(inputs, 6)])


def _gru_step(point: Point, inputs: Inputs, direction: int, *, is_linear_first: bool) -> Step:
    update_gate, reset_gate, (w, r, wb, rb) = _gates(inputs, direction, 3)

    def step(x: Numbers, states: States) -> States:
        (hidden,) = states
        update, reset = (
            sigmoid(point, f.add(_affine(x, gate[0], gate[2]), _affine(hidden, gate[1], gate[3])))
            for gate in (update_gate, reset_gate)
        )
        recurrent = (
            f.multiply(reset, _affine(hidden, r, rb)) if is_linear_first else _affine(f.multiply(reset, hidden), r, rb)
        )
        new = tanh(point, f.add(_affine(x, w, wb), recurrent))
        return (f.add(f.multiply(f.subtract(ONE, update), new), f.multiply(update, hidden)),)

    return step


def _gru(point: Point, attributes: Attributes, inputs: Inputs) -> tuple[Numbers, ...]:
    is_linear_first = bool(attributes["linear_before_reset"])
    steps = [
        _gru_step(point, inputs, direction, is_linear_first=is_linear_first)
        for direction in range(given(inputs, 1).shape[0])
    ]
    return _run(attributes, inputs, steps, [_optional(inputs, 5)])


KERNELS: Final[Mapping[str, MultiKernel]] = {"LSTM": _lstm, "GRU": _gru}
"""How each recurrent operator is evaluated at one point."""
