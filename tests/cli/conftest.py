"""A supervisor that starts the fake worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest

from eqsat.api.supervisor import supervise
from eqsat.pipeline.report import Report
from tests.cli import fake_worker

FakeSupervise = Callable[..., Report]


@pytest.fixture
def supervise_fake() -> Callable[[str], FakeSupervise]:
    """A supervisor, by what its worker does."""

    def make(mode: str) -> FakeSupervise:
        return partial(supervise, worker_command=(sys.executable, fake_worker.__file__, mode))

    return make


@pytest.fixture
def install_fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the stand-in for the optimiser into this process, by what it does."""

    def install(mode: str) -> None:
        monkeypatch.setitem(sys.modules, "eqsat.pipeline.optimizer", fake_worker.install(mode))

    return install
