"""The numbers of the summary: means, inverses, what a failure counts, and a document that holds no infinity."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path

import pytest
from rich.console import Console

from bench.results import ContenderRow, ModelRow, Speedup, Standing, geometric_mean, summarise, write_json
from bench.table import interval, print_tables


def speedup(ratio: float) -> Speedup:
    return Speedup(ratio=ratio, low=ratio - 0.1, high=ratio + 0.1, num_pairs=5)


def row(name: str, model_class: str, ratio: float | None, over_best: float | None = None) -> ModelRow:
    standing = Standing.FAILED if ratio is None else Standing.TIMED
    ours = ContenderRow(
        name="eqsat", standing=standing, speedup=None if ratio is None else speedup(ratio), message="bad"
    )
    final = None if over_best is None else speedup(over_best)
    return ModelRow(
        name=name, model_class=model_class, original_us=1e3, contenders=(ours,), best_peer="p", over_best_peer=final
    )


def test_the_geometric_mean_is_the_root_of_the_product() -> None:
    rng = random.Random(0)
    ratios = [rng.uniform(0.5, 2.0) for _ in range(7)]
    product = 1.0
    for ratio in ratios:
        product *= ratio
    assert geometric_mean(ratios) == pytest.approx(product ** (1 / 7), rel=1e-12)


def test_the_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        geometric_mean([])


def test_the_inverse_turns_the_interval_round() -> None:
    inverse = Speedup(ratio=2.0, low=1.6, high=2.5, num_pairs=5).inverse()
    assert (inverse.ratio, inverse.low, inverse.high) == pytest.approx((0.5, 0.4, 0.625))


def test_the_inverse_of_an_open_interval_is_open() -> None:
    inverse = Speedup(ratio=2.0, low=0.0, high=None, num_pairs=1).inverse()
    assert (inverse.low, inverse.high) == (0.0, None)


def test_classes_are_summarised_apart_and_a_failure_counts_as_the_original() -> None:
    rows = [row("a", "one", 4.0, 2.0), row("b", "two", 1.5), row("c", "one", None, 0.5)]
    first, second = summarise(rows, "eqsat")
    assert (first.model_class, first.num_models, first.num_failures) == ("one", 2, 1)
    assert first.over_original == pytest.approx(2.0)
    assert first.over_best_peer == pytest.approx(1.0)
    assert (second.num_failures, second.over_best_peer) == (0, None)


def test_the_document_holds_rows_summary_and_setting(tmp_path: Path) -> None:
    path = tmp_path / "results" / "a.json"
    write_json(path, [row("a", "one", 1.25)], contender="eqsat", setting={"commit": "abc"})
    document = json.loads(path.read_text())
    assert (document["schema"], document["commit"]) == (1, "abc")
    assert document["models"][0]["contenders"][0]["speedup"]["ratio"] == 1.25
    assert document["summary"][0]["model_class"] == "one"


def test_an_infinite_number_is_refused_and_the_old_document_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, [row("a", "one", 1.25)], contender="eqsat", setting={})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, [row("a", "one", math.inf)], contender="eqsat", setting={})
    assert path.read_bytes() == before


def test_the_tables_show_intervals_means_and_failures() -> None:
    console = Console(width=160, file=io.StringIO(), record=True)
    print_tables([row("a", "one", 4.0, 2.0), row("c", "one", None, 0.5)], [], console)
    text = console.export_text()
    assert "4.000 (3.900, 4.100)" in text
    assert "geometric mean over 2: 2.000 over the original, 1.000 over the best other, 1 failed" in text
    assert "c: eqsat: failed: bad" in text


def test_an_interval_of_one_pair_is_open() -> None:
    assert interval(Speedup(ratio=1.5, low=0.0, high=None, num_pairs=1)) == "1.500 (0.000, inf)"
