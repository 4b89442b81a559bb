"""Random models compute the same in every form that the rules give them, whether a run would verify it or not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from eqsat.runtime import Runtime
from tests.fuzz.generator import random_model
from tests.fuzz.kernels import Kernels
from tests.fuzz.trial import Setting, try_model

NUM_PARTS: Final = 4
NUM_MODELS: Final = 50
"""Models of a part."""


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_every_form_of_a_random_model_computes_the_same(
    part: int, runtime: Runtime, kernels: Kernels, tmp_path: Path
) -> None:
    found: list[str] = []
    num_valid = num_runs = 0
    rules: set[str] = set()
    for seed in range(part * NUM_MODELS, (part + 1) * NUM_MODELS):
        # A part of the rules at a time, a few nodes: the same as with all of them in a fraction of the time.
        setting = Setting(is_strict=seed % 2 == 0, has_provider_operators=seed % 3 == 0, share=2, num_extractions=3)
        result = try_model(random_model(seed, kernels, max_rows=4, num_fragments=2), setting, seed, runtime, tmp_path)
        num_valid += result.is_valid
        num_runs += result.num_runs
        rules |= result.rules
        found += [f"seed {seed}: {finding}" for finding in result.findings if finding.is_fault]
    assert not found
    assert num_valid > 0.9 * NUM_MODELS
    assert num_runs > 5 * NUM_MODELS
    assert len(rules) > 10
