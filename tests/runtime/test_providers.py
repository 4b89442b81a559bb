"""The table of execution providers."""

from __future__ import annotations

import pytest

from eqsat.runtime.providers import PROVIDERS, provider_names, provider_row


def test_short_names_are_spelt_out() -> None:
    names = provider_names(["CUDA, cpu", "CPUExecutionProvider", "OwnExecutionProvider"])
    assert names == ("CUDAExecutionProvider", "CPUExecutionProvider", "OwnExecutionProvider")


def test_a_provider_without_a_row_is_a_plain_one() -> None:
    row = provider_row("OwnExecutionProvider")
    assert (row.device, row.has_operators, row.fusions, row.needs_cuda) == ("cpu", False, (), False)


@pytest.mark.parametrize("name", PROVIDERS)
def test_names_are_those_of_onnx_runtime(name: str) -> None:
    import onnxruntime

    assert name in onnxruntime.get_all_providers()
