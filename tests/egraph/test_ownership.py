"""E-graphs are dropped by the thread that made them, whoever collects the garbage."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from eqsat.egglog import commands
from eqsat.egglog.commands import drop_egraphs, new_egraph


def test_garbage_of_another_thread_is_dropped_by_that_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", faults.append)
    is_made, is_collected = threading.Event(), threading.Event()
    left: list[int] = []

    def work() -> None:
        cycle: list[object] = [new_egraph()]
        cycle.append(cycle)
        del cycle
        is_made.set()
        is_collected.wait(timeout=60.0)
        left.append(len(commands._OWNED.egraphs))
        drop_egraphs()
        left.append(len(commands._OWNED.egraphs))

    thread = threading.Thread(target=work)
    thread.start()
    is_made.wait(timeout=60.0)
    gc.collect()
    is_collected.set()
    thread.join()
    assert left == [1, 0]
    assert not faults


def test_what_is_in_use_stays() -> None:
    drop_egraphs()
    before = len(commands._OWNED.egraphs)
    kept, also = new_egraph(), new_egraph()
    drop_egraphs()
    assert commands._OWNED.egraphs[before:] == [kept, also]
    del kept
    drop_egraphs()
    assert commands._OWNED.egraphs[before:] == [also]
