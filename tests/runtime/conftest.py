from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eqsat.runtime import Runtime, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime(timeout_s=60.0) as made:
        yield made


@pytest.fixture
def settings() -> SessionSettings:
    return SessionSettings(threads=1)
