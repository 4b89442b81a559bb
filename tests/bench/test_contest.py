"""Who is timed against whom, and what a wrong, failed or identical contender becomes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bench import contest
from bench.agreement import relative_error
from bench.contest import Contest, Effort
from bench.peers import Ended, Outcome, Peer, PeerResult
from bench.results import ModelRow, Standing
from eqsat.runtime import (
    Comparison,
    Contender,
    ContenderResult,
    OptimizationLevel,
    SessionFailedError,
    SessionSettings,
    StopReason,
)

FEEDS = {"x": np.ones(2, np.float32)}
PEERS = [Peer(name=name, package="numpy") for name in ("fast", "slow", "wrong", "broken", "twin")]
CONTROL = Peer(name="ort", package="numpy")


@dataclass
class KnownRuntime:
    """Answers from what is written in the model files: ``latency graph-name output``."""

    tests: list[list[str]] = field(default_factory=list)

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        output = model.read_text().split()[2]
        if output == "broken":
            raise SessionFailedError("refused")
        return {"y": np.array([float(output)], np.float32)}

    def optimized_fingerprint(self, model: Path, settings: SessionSettings) -> str:
        return f"{model.read_text().split()[1]} {settings.level.value}"

    def compare(
        self,
        contenders: Sequence[Contender],
        feeds: Mapping[str, np.ndarray],
        *,
        num_pairs: int,
        rounds: int,
        deadline: float | None,
    ) -> Comparison:
        self.tests.append([contender.path.stem for contender in contenders])
        factors = [0.5 if each.settings.level is OptimizationLevel.DISABLED else 1.0 for each in contenders]
        times = [
            float(each.path.read_text().split()[0]) * factor for each, factor in zip(contenders, factors, strict=True)
        ]
        results = {
            index: ContenderResult(
                speedup=times[0] / each,
                speedup_low=times[0] / each * 0.99,
                speedup_high=math.inf,
                latency_us=each,
                num_pairs=num_pairs,
            )
            for index, each in enumerate(times)
        }
        return Comparison(results=results, num_pairs=num_pairs, rounds=rounds, stop_reason=StopReason.NUM_PAIRS)


MADE_BY_PEERS = {
    "fast": "80 f 1",
    "slow": "120 s 1",
    "wrong": "10 w 2",
    "broken": "10 b broken",
    "twin": "80 f 1",
    "ort": "100 o 1",
}


def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ours: str,
    peers: Sequence[Peer] = (),
    session: Mapping[str, object] | None = None,
) -> tuple[ModelRow, KnownRuntime]:
    def optimize(peer: Peer, source: Path, target: Path, **options: object) -> PeerResult:
        target.write_text(MADE_BY_PEERS[peer.name])
        return PeerResult(outcome=Outcome.WRITTEN)

    def run_ours(command: list[str], *, timeout_s: float) -> Ended:
        if not ours:
            return Ended(exit_code=1, is_timed_out=False, message="internal error")
        Path(command[4]).write_text(ours)
        Path(command[command.index("--json") + 1]).write_text(json.dumps({"session": session}))
        return Ended(exit_code=0, is_timed_out=False, message="")

    monkeypatch.setattr(Peer, "optimize", optimize)
    monkeypatch.setattr(contest, "run_command", run_ours)
    source = tmp_path / "original.onnx"
    source.write_text("100 o 1")
    runtime = KnownRuntime()
    test = Contest(
        runtime=runtime,
        source=source,
        feeds=FEEDS,
        checks=[FEEDS],
        settings=SessionSettings(threads=2),
        effort=Effort(num_pairs=5, rounds=3, max_seconds=math.inf, time_budget_s=1.0, timeout_s=1.0),
        folder=tmp_path,
        clock=lambda: 0.0,
    )
    return test.run("m", "one", peers=peers, peer_type=""), runtime


def standing(row: ModelRow, name: str) -> Standing:
    contender = row.contender(name)
    assert contender is not None
    return contender.standing


def ratio(row: ModelRow, name: str) -> float:
    contender = row.contender(name)
    assert contender is not None
    assert contender.speedup is not None
    return contender.speedup.ratio


def test_each_contender_gets_what_it_earned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, runtime = run(tmp_path, monkeypatch, ours="50 e 1", peers=PEERS)
    assert (ratio(row, "eqsat"), ratio(row, "fast")) == pytest.approx((2.0, 1.25))
    assert (standing(row, "wrong"), standing(row, "broken")) == (Standing.WRONG, Standing.FAILED)
    assert row.original_us == 100.0
    assert ["original", "eqsat", "fast", "slow"] in runtime.tests


def test_the_same_graph_is_timed_once_and_counts_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, runtime = run(tmp_path, monkeypatch, ours="50 e 1", peers=PEERS)
    assert ratio(row, "twin") == ratio(row, "fast")
    assert not any("twin" in test for test in runtime.tests)


def test_an_unchanged_graph_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, runtime = run(tmp_path, monkeypatch, ours="100 o 1")
    assert standing(row, "eqsat") is Standing.SAME_GRAPH
    assert ratio(row, "eqsat") == 1.0
    assert runtime.tests == []


def test_the_control_is_timed_although_it_is_the_same_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, runtime = run(tmp_path, monkeypatch, ours="50 e 1", peers=[CONTROL])
    assert standing(row, "ort") is Standing.TIMED
    assert runtime.tests == [["original", "eqsat", "ort"]]


def test_ours_meets_the_best_peer_in_a_test_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, runtime = run(tmp_path, monkeypatch, ours="50 e 1", peers=PEERS)
    assert runtime.tests[-1] == ["fast", "eqsat"]
    assert row.best_peer == "fast"
    assert row.over_best_peer is not None
    assert row.over_best_peer.ratio == pytest.approx(1.6)


def test_where_no_peer_is_faster_the_original_is_the_rival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = run(tmp_path, monkeypatch, ours="50 e 1", peers=[CONTROL, PEERS[1]])
    assert row.best_peer == "ort"
    assert row.over_best_peer is not None
    assert row.over_best_peer.ratio == pytest.approx(2.0)


@pytest.mark.parametrize("ours", ["", "10 e 2", "10 e nan"])
def test_where_ours_fails_its_user_has_the_original(ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = run(tmp_path, monkeypatch, ours=ours, peers=PEERS)
    assert standing(row, "eqsat") is (Standing.WRONG if ours else Standing.FAILED)
    assert row.over_best_peer is not None
    assert row.over_best_peer.ratio == pytest.approx(0.8)


def test_the_session_that_our_model_carries_is_a_contender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = {"graph_optimization_level": "ORT_DISABLE_ALL", "disabled_optimizers": []}
    row, _ = run(tmp_path, monkeypatch, ours="50 e 1", peers=PEERS, session=session)
    assert (ratio(row, "eqsat"), ratio(row, "eqsat.load")) == pytest.approx((2.0, 4.0))
    assert row.over_best_peer is not None
    assert row.over_best_peer.ratio == pytest.approx(3.2)


def test_the_default_session_is_no_contender_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = {"graph_optimization_level": "ORT_ENABLE_ALL", "disabled_optimizers": []}
    row, _ = run(tmp_path, monkeypatch, ours="50 e 1", session=session)
    assert row.contender("eqsat.load") is None


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("wanted", "found", "error"),
    [
        ([1.0, -4.0], [1.0, -3.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 1e-9], INF),
        ([NAN, 2.0], [NAN, 1.0], 0.5),
        ([INF, 2.0], [INF, 2.0], 0.0),
        ([INF, 2.0], [-INF, 2.0], INF),
        ([1.0, 2.0], [NAN, 2.0], INF),
        ([NAN, 2.0], [1.0, 2.0], INF),
        ([1.0, 2.0], [1.0], INF),
    ],
)
def test_the_error_is_relative_to_the_largest_magnitude(wanted: list[float], found: list[float], error: float) -> None:
    left, right = ({"y": np.array(values, np.float32)} for values in (wanted, found))
    assert relative_error(left, right) == error


def test_integers_and_names_agree_exactly_or_not_at_all() -> None:
    one = {"y": np.array([1, 2])}
    assert relative_error(one, {"y": np.array([1, 2])}) == 0.0
    assert relative_error(one, {"y": np.array([1, 3])}) == INF
    assert relative_error(one, {"z": np.array([1, 2])}) == INF
    assert relative_error(one, {"y": np.array([1.0, 2.0])}) == INF
