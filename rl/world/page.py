"""A page to look at: real and foreseen prices along episodes, the masks rule by rule, and the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from ir.atomic_file import write_text
from rl.world.metrics import levels

if TYPE_CHECKING:
    from pathlib import Path

    from rl.world.assessment import Foresight, Story, Tally

_NUM_RULES: Final = 40


def write_page(foresights: Sequence[Foresight], stories: Sequence[Story], rules: Mapping[int, str], path: Path) -> None:
    """Write an assessment as one HTML page that needs nothing from the network.

    Args:
        foresights: Horizon by horizon.
        stories: Episodes beside what was foreseen of them.
        rules: Name of each rule by its bucket; a rule without one keeps its number.
        path: The page.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    num_columns = min(len(stories), 3)
    curves = make_subplots(
        rows=-(-len(stories) // 3), cols=num_columns, subplot_titles=[escape(each.task) for each in stories]
    )
    for place, story in enumerate(stories):
        row, column = place // 3 + 1, place % 3 + 1
        is_first = place == 0
        for number, foreseen in enumerate(story.foreseen):
            line = {"color": "orange", "width": 1}
            shown = is_first and number == 0
            curves.add_scatter(y=foreseen, name="foreseen", line=line, showlegend=shown, row=row, col=column)
        curves.add_scatter(
            y=story.real, name="real", line={"color": "black", "width": 2}, showlegend=is_first, row=row, col=column
        )
    curves.update_layout(title="Price along real episodes, relative to the first state; one line a member")
    masks = go.Figure(layout={"title": "Which rules have a candidate: F1 by rule, the most frequent rules first"})
    calibration = go.Figure(layout={"title": "Share of returns below a predicted quantile"})
    calibration.add_scatter(x=[0, 1], y=[0, 1], name="ideal", line={"color": "black", "dash": "dot"})
    for each in foresights:
        frequent = sorted(each.tallies, key=lambda rule: -_frequency(each.tallies[rule]))[:_NUM_RULES]
        names = [escape(rules.get(rule, str(rule))) for rule in frequent]
        title = f"horizon {each.horizon}"
        masks.add_bar(x=names, y=[rule_f1(each.tallies[rule]) for rule in frequent], name=title)
        calibration.add_scatter(x=levels(len(each.shares)).tolist(), y=list(each.shares), name=title)
    figures = (curves, masks, calibration)
    parts = [each.to_html(full_html=False, include_plotlyjs=number == 0) for number, each in enumerate(figures)]
    title = "World model against reality"
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    write_text(path, f"{head}<body>{''.join(parts)}</body></html>\n")


def rule_f1(tally: Tally) -> float:
    """Return ``2 TP / (2 TP + FP + FN)`` of one rule."""
    hits = 2 * tally.num_hits
    return hits / (hits + tally.num_false + tally.num_missed)


def _frequency(tally: Tally) -> int:
    """How often a rule really had a candidate."""
    return tally.num_hits + tally.num_missed
