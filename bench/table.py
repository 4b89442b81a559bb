"""The results on the terminal: for each class of models a table of intervals and one of all contenders."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.contest import CONTROL, OURS, OURS_TUNED
from bench.results import ClassSummary, ContenderRow, ModelRow, Speedup, Standing, summarise

MIN_WIDTH = 120
"""Columns, where the terminal does not say how many it has."""

SHORT = {Standing.SAME_GRAPH: "=", Standing.NOT_SUPPORTED: "-", Standing.NOT_INSTALLED: "-", Standing.NOT_REACHED: "-"}
TROUBLE = frozenset({Standing.FAILED, Standing.WRONG, Standing.TIMED_OUT})


def print_tables(rows: Sequence[ModelRow], peers: Sequence[str], console: Console | None = None) -> None:
    """Print everything; speed-ups are over the original at ONNX Runtime's default level."""
    shown = console or Console()
    if not shown.is_terminal:
        shown.width = max(shown.width, MIN_WIDTH)
    for summary in summarise(rows, OURS):
        members = [row for row in rows if row.model_class == summary.model_class]
        shown.print(main_table(summary.model_class, members))
        shown.print(means(summary), highlight=False)
        shown.print(all_contenders(members, peers))
    for row in rows:
        for contender in row.contenders:
            if contender.standing in TROUBLE:
                line = f"{row.name}: {contender.name}: {contender.standing.value}: {contender.message}"
                shown.print(line, markup=False, highlight=False, soft_wrap=True)


def main_table(title: str, rows: Sequence[ModelRow]) -> Table:
    """Return ours against the original and against the best alternative, with intervals, and the noise of the test."""
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for column in ("ms", "eqsat", "with eqsat.load", "original again", "ours / best other"):
        table.add_column(column, justify="right")
    table.add_column("best other")
    for row in rows:
        contenders = (row.contender(name) for name in (OURS, OURS_TUNED, CONTROL))
        final = "" if row.over_best_peer is None else interval(row.over_best_peer)
        latency = "" if row.original_us is None else f"{row.original_us / 1000:.2f}"
        table.add_row(row.name, latency, *map(cell, contenders), final, row.best_peer)
    return table


def all_contenders(rows: Sequence[ModelRow], peers: Sequence[str]) -> Table:
    """Return the bare speed-up of every contender over the original; = is the same graph, - did not take part."""
    names = [OURS, OURS_TUNED, *peers]
    table = Table(title="every contender", title_justify="left")
    table.add_column("model", overflow="fold")
    for name in names:
        table.add_column(name.replace("-", "\n"), justify="right")
    for row in rows:
        table.add_row(row.name, *(short_cell(row.contender(name)) for name in names))
    return table


def means(summary: ClassSummary) -> str:
    """Return the line below the table of a class."""
    parts = [f"geometric mean over {summary.num_models}: {summary.over_original:.3f} over the original"]
    if summary.over_best_peer is not None:
        parts.append(f"{summary.over_best_peer:.3f} over the best other")
    if summary.num_failures:
        parts.append(f"{summary.num_failures} failed and count as the original")
    return ", ".join(parts)


def cell(row: ContenderRow | None) -> str:
    """Return a speed-up with its interval, or how the contender stands."""
    if row is None:
        return ""
    if row.standing is Standing.TIMED and row.speedup is not None:
        return interval(row.speedup)
    return row.standing.value


def short_cell(row: ContenderRow | None) -> str:
    """Return a bare speed-up, or a sign for how the contender stands."""
    if row is None:
        return ""
    if row.standing is Standing.TIMED and row.speedup is not None:
        return f"{row.speedup.ratio:.3f}"
    return SHORT.get(row.standing, row.standing.value)


def interval(speedup: Speedup) -> str:
    """Return a speed-up with its interval, in parentheses: square brackets are markup."""
    if speedup.num_pairs == 0:
        return f"{speedup.ratio:.3f}"
    high = "inf" if speedup.high is None else f"{speedup.high:.3f}"
    return f"{speedup.ratio:.3f} ({speedup.low:.3f}, {high})"
