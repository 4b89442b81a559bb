from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rl.comparison.ledger import PriceBook
from rl.env.prices import TablePrices
from tests.bench.test_agent import TableDevice
from tests.rl.worlds import branch_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def offer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], None]:
    """Lets a command have one small task, whatever model it names, with the prices of a table."""

    def offer(command: ModuleType) -> None:
        offered = branch_task(tmp_path), PriceBook(source=TablePrices())
        monkeypatch.setattr(command, "Device", TableDevice)
        monkeypatch.setattr(command, "exported_task", lambda *_: offered)

    return offer
