"""A comparison as a page with two charts: gains by task, and what speed-up takes how long."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ir.atomic_file import write_text
from rl.comparison.summary import median_gains, standings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rl.comparison.contest import Comparison


def write_plot(comparisons: Sequence[Comparison], path: Path, *, reference: str) -> None:
    """Write the charts of each budget as one HTML page that needs nothing from the network.

    Args:
        comparisons: Results, one for each budget.
        path: The page.
        reference: The contender that the others are compared with.
    """
    import plotly.graph_objects as go

    parts = []
    for number, comparison in enumerate(comparisons):
        title = budget(comparison)
        gains = go.Figure(layout={"title": f"Gain by task, {title}", "yaxis": {"tickformat": ".0%"}})
        medians = median_gains(comparison.attempts)
        names = dict.fromkeys(attempt.contender for attempt in comparison.attempts)
        for name in names:
            found = {task: by_name[name] for task, by_name in medians.items() if name in by_name}
            gains.add_bar(
                name=escape(name),
                x=[escape(task) for task in found],
                y=[each.middle for each in found.values()],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [each.high - each.middle for each in found.values()],
                    "arrayminus": [each.middle - each.low for each in found.values()],
                },
            )
        costs = go.Figure(
            layout={
                "title": f"Speed-up and time, {title}",
                "xaxis": {"title": "seconds (median)", "type": "log"},
                "yaxis": {"title": "speed-up (geometric mean)"},
            }
        )
        for each in standings(comparison.attempts, reference=reference, best_us=comparison.best_us):
            costs.add_scatter(
                name=escape(each.contender),
                x=[each.seconds],
                y=[each.speedup.middle],
                mode="markers+text",
                text=[escape(each.contender)],
                textposition="top center",
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [each.speedup.high - each.speedup.middle],
                    "arrayminus": [each.speedup.middle - each.speedup.low],
                },
            )
        is_first = number == 0
        parts.append(gains.to_html(full_html=False, include_plotlyjs=is_first))
        parts.append(costs.to_html(full_html=False, include_plotlyjs=False))
    page = "<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>Searches compared</title></head><body>\n"
    write_text(path, page + "\n".join(parts) + "\n</body></html>\n")


def budget(comparison: Comparison) -> str:
    """Return the budget of a comparison in words."""
    limits = comparison.limits
    words = [f"{limits.max_enodes} e-nodes"]
    if limits.growth < float("inf"):
        words.append(f"{limits.growth:g} times the model's")
    if limits.max_seconds < float("inf"):
        words.append(f"{limits.max_seconds:g} s")
    if limits.max_measurements < float("inf"):
        words.append(f"{limits.max_measurements:g} measurements")
    return ", ".join(words)
