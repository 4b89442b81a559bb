"""One ONNX Runtime process for all random models of a test worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eqsat.runtime import Runtime
from tests.fuzz.kernels import Kernels


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    with Runtime() as made:
        yield made


@pytest.fixture(scope="session")
def kernels(runtime: Runtime) -> Kernels:
    return Kernels(runtime)
