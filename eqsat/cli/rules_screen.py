"""What the commands of ``eqsat rules`` print: tables, drawings, findings, one line each where nobody watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eqsat.cli.printing import print_rows, say

if TYPE_CHECKING:
    from rich.console import Console

    from eqsat.authoring.tools.complaints import Complaint
    from eqsat.authoring.tools.stats import Stats
    from eqsat.authoring.tools.why_not import WhyNot

_MAX_NODES: Final = 8
"""Nodes that one line names at most."""


def print_complaints(out: Console, complaints: Sequence[Complaint]) -> None:
    """Print complaints, one line each."""
    for complaint in complaints:
        say(out, str(complaint))


def print_stats(out: Console, found: Stats) -> None:
    """Print what each rule did on a model, and what came of it."""
    headings = ("rule", "matches", "applied", "time", "e-nodes", "gain")
    cells = [
        (
            rule.name,
            str(rule.num_matches),
            str(rule.num_applied),
            f"{1e3 * rule.seconds:.1f} ms",
            f"{rule.num_enodes:+d}",
            "" if rule.gain_us is None else f"{rule.gain_us:.1f} us",
        )
        for rule in found.rules
    ]
    print_rows(out, headings, cells, num_left=1)
    end = "nothing is left to apply" if found.is_saturated else "a limit ended it"
    say(out, f"{found.before} e-nodes became {found.after} in {found.num_rounds} rounds; {end}")
    if found.input_us is not None and found.best_us is not None:
        say(out, f"by prices, the model takes {found.input_us:.1f} us and the cheapest graph {found.best_us:.1f} us")
    for line in found.refused:
        say(out, f"switched off: {line}")


def print_why_not(out: Console, found: WhyNot) -> None:
    """Print why a rule does not match, or where it does."""
    if found.obstacle:
        say(out, f"{found.rule} takes no part on this model: {found.obstacle}")
    if found.matches:
        say(out, f"{found.rule} matches at {_counted(found.matches)}")
        if found.idle:
            say(out, f"it changes nothing at {_counted(found.idle)}")
        return
    if not found.places:
        say(out, f"{found.rule} does not match, and no place comes close")
    for place in found.places:
        say(out, f"{found.rule} comes closest at {place.node}: {place.num_met} of {place.num_demands} demands are met")
        for name, value in place.values.items():
            say(out, f"    {name} = {value}")
        for number, reason in enumerate(place.missing):
            say(out, f"  {'but' if not number else '   '} {reason}")


def _counted(nodes: Sequence[str]) -> str:
    shown = ", ".join(nodes[:_MAX_NODES])
    more = f" and {len(nodes) - _MAX_NODES} more" if len(nodes) > _MAX_NODES else ""
    return f"{len(nodes)} {'place' if len(nodes) == 1 else 'places'}: {shown}{more}"
