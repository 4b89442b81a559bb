"""Curves are read as they were written, and go on where a training goes on."""

from __future__ import annotations

from pathlib import Path

from rl.training.curves import CURVES, Curve, CurveLog, read_curves


def test_points_are_read_as_they_were_written(tmp_path: Path) -> None:
    with CurveLog(tmp_path / "out") as log:
        log.write(0, {Curve.GAIN: 0.5, Curve.VALIDATION_GAIN: 0.25})
        log.write(1, {Curve.GAIN: 0.75})
    assert read_curves(tmp_path / "out") == [
        {"update": 0, "rollout/gain": 0.5, "validation/gain": 0.25},
        {"update": 1, "rollout/gain": 0.75},
    ]


def test_what_was_not_kept_is_drawn_again(tmp_path: Path) -> None:
    for first, gain in ((0, 0.1), (1, 0.2)):
        with CurveLog(tmp_path, first_update=first) as log:
            for update in range(first, 3):
                log.write(update, {Curve.GAIN: gain})
    assert [point["rollout/gain"] for point in read_curves(tmp_path)] == [0.1, 0.2, 0.2]
    assert (tmp_path / CURVES).exists()


def test_there_are_none_yet(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == []


def test_names_do_not_change() -> None:
    assert len({str(each) for each in Curve}) == len(Curve)
    assert all(each.count("/") == 1 for each in Curve)
