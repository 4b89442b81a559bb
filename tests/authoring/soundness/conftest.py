"""One child process of ONNX Runtime for all tests of soundness."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eqsat.runtime import Runtime


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    with Runtime() as runtime:
        yield runtime
