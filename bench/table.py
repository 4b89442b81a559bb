"""The results as tables on the terminal, one for each class of models."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.contest import OURS, OURS_TUNED
from bench.results import ContenderRow, ModelRow, Speedup, Standing, summarise


def print_tables(rows: Sequence[ModelRow], peers: Sequence[str], console: Console | None = None) -> None:
    """Print one table for each class: speed-ups over the original at ONNX Runtime's default level."""
    shown = console or Console()
    names = [OURS]
    if any(row.contender(OURS_TUNED) for row in rows):
        names.append(OURS_TUNED)
    names.extend(peers)
    for summary in summarise(rows, OURS):
        table = Table(title=summary.model_class, title_justify="left")
        for column in ("model", "ms", *names, "ours / best alternative"):
            table.add_column(column, justify="left" if column == "model" else "right")
        for row in rows:
            if row.model_class == summary.model_class:
                cells = [cell(row.contender(name)) for name in names]
                latency = "" if row.original_us is None else f"{row.original_us / 1000:.2f}"
                table.add_row(row.name, latency, *cells, final_cell(row))
        shown.print(table)
        over_peer = (
            "" if summary.over_best_peer is None else f", over the best alternative {summary.over_best_peer:.3f}"
        )
        failures = f", {summary.num_failures} failed and count as 1" if summary.num_failures else ""
        shown.print(f"geometric mean over the original {summary.over_original:.3f}{over_peer}{failures}\n")
    for row in rows:
        for contender in row.contenders:
            if contender.standing in {Standing.FAILED, Standing.WRONG, Standing.TIMED_OUT}:
                line = f"{row.name}: {contender.name}: {contender.standing.value}: {contender.message}"
                shown.print(line, markup=False, highlight=False)


def cell(row: ContenderRow | None) -> str:
    """Return the text of a contender's cell: its speed-up with the interval, or how it stands."""
    if row is None:
        return ""
    if row.standing is Standing.TIMED and row.speedup is not None:
        return interval(row.speedup)
    return row.standing.value


def final_cell(row: ModelRow) -> str:
    """Return the text of the last column."""
    if row.over_best_peer is None:
        return row.best_peer
    return f"{interval(row.over_best_peer)} {row.best_peer}"


def interval(speedup: Speedup) -> str:
    """Return a speed-up with its interval."""
    if speedup.num_pairs == 0:
        return f"{speedup.ratio:.3f}"
    high = "" if speedup.high is None else f"{speedup.high:.3f}"
    return f"{speedup.ratio:.3f} [{speedup.low:.3f}, {high}]"
