"""ONNX's backend test suite as an outside judge: what ONNX Runtime computes right before, it computes right after."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eqsat.rules import RuleBook, load_rules, read_rules
from tests.backend.cases import Case, difference, load_cases, run_model, share
from tests.backend.detour import Mode, detour

NUM_PARTS = 5
PART = int(os.environ.get("EQSAT_BACKEND_PART", "0"))
"""Which fifth of the cases is run; the environment may ask for another one, or for all of them with -1."""

pytestmark = pytest.mark.slow


def _cases() -> list[Case]:
    cases = load_cases()
    return list(cases) if PART < 0 else share(cases, PART, NUM_PARTS)


def _rules(mode: Mode) -> RuleBook:
    return read_rules([]) if mode is Mode.IDENTITY else load_rules()


def _run(case: Case, model: bytes | Path) -> str:
    """What is wrong with the outputs, in words."""
    for inputs, outputs in case.data:
        reason = difference(case, outputs, run_model(model, inputs))
        if reason:
            return reason
    return ""


def _is_right(case: Case) -> bool:
    try:
        return not _run(case, case.proto.SerializeToString())
    except Exception:  # noqa: BLE001  # ONNX Runtime's exceptions have no common base
        return False


@pytest.mark.parametrize("mode", list(Mode))
def test_what_was_right_stays_right(mode: Mode, tmp_path: Path) -> None:
    rules = _rules(mode)
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    wrong: dict[str, str] = {}
    num_right = num_rewritten = 0
    cases = _cases()
    for case in cases:
        source.write_bytes(case.proto.SerializeToString())
        try:
            used = detour(source, target, rules, mode)
        except Exception as error:  # noqa: BLE001  # whatever it is, the case that showed it must be named
            wrong[case.name] = repr(error)[:300]
            continue
        if not _is_right(case):
            continue
        num_right += 1
        num_rewritten += bool(used)
        try:
            reason = _run(case, target)
        except Exception as error:  # noqa: BLE001  # ONNX Runtime's exceptions have no common base
            reason = str(error)[:300]
        if reason:
            wrong[case.name] = f"{reason} (rules: {', '.join(used)})"
    assert not wrong
    assert num_right > len(cases) // 2
    if mode is Mode.STRESS:
        assert num_rewritten > len(cases) // 50
