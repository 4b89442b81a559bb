"""What somebody may have meant."""

from __future__ import annotations

import pytest

from eqsat.text.suggest import did_you_mean

NAMES = ("MatMul", "matmul-join", "matmul-joined", "Softmax", "LogSoftmax")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("softmax", "; did you mean 'Softmax' or 'LogSoftmax'?"),
        ("matmul-jion", "; did you mean 'matmul-join', 'matmul-joined' or 'MatMul'?"),
        ("Conv", ""),
        ("", ""),
    ],
)
def test_close_names(word: str, hint: str) -> None:
    assert did_you_mean(word, NAMES) == hint
