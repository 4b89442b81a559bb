"""What a run looks like: progress on stderr while it goes on, a table at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from eqsat.events import Event, Stage
from eqsat.report import Report, Status
from eqsat.shown import one_line

if TYPE_CHECKING:
    from eqsat.rules import Rule

_MAX_RULES = 12
_MAX_OPERATORS = 12
_MAX_INPUTS = 4


class Verbosity(IntEnum):
    """How much a run says."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


class Screen(Protocol):
    """Shows events."""

    def show(self, event: Event) -> None:
        """Show one event."""


@final
class SilentScreen:
    """Shows nothing."""

    def show(self, event: Event) -> None:
        """Do nothing."""


@final
class PlainScreen:
    """Prints a line at every new stage, or at every event."""

    def __init__(self, console: Console, *, is_verbose: bool) -> None:
        self._console = console
        self._is_verbose = is_verbose
        self._stage: Stage | None = None

    def show(self, event: Event) -> None:
        """Print the event's line where it says something new."""
        if self._is_verbose or event.stage is not self._stage:
            self._stage = event.stage
            best = f"  (best so far {event.best_speedup:.2f}x)" if event.best_speedup is not None else ""
            line = f"{event.stage}: {one_line(event.message)}{best}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@final
class LiveScreen:
    """Keeps one line up to date on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, message="", best="")

    def show(self, event: Event) -> None:
        """Bring the line up to date."""
        self._progress.update(
            self._task,
            description=event.stage.value,
            total=1.0,
            completed=event.fraction or 0.0,
            message=escape(one_line(event.message)),
            best=f"best {event.best_speedup:.2f}x" if event.best_speedup is not None else "",
        )


@contextmanager
def screen(console: Console, verbosity: Verbosity) -> Iterator[Screen]:
    """Yield the screen that suits the console: live on a terminal, lines otherwise and where every event counts."""
    if verbosity is Verbosity.QUIET:
        yield SilentScreen()
    elif verbosity is Verbosity.VERBOSE or not console.is_terminal:
        yield PlainScreen(console, is_verbose=verbosity is Verbosity.VERBOSE)
    else:
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.description:8}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[green]{task.fields[best]}"),
            TextColumn("{task.fields[message]}"),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            yield LiveScreen(progress)


def headline(report: Report) -> str:
    """Return the result as one line."""
    match report.status:
        case Status.OPTIMIZED:
            speedup = f"{report.latency.speedup:.2f}x faster" if report.latency else "optimised, not measured"
            return f"{speedup}: {one_line(report.reason)}"
        case Status.UNCHANGED:
            return f"unchanged: {one_line(report.reason)}"


def summary(report: Report, *, is_verbose: bool = False) -> Table:
    """Return the table that ends a run: what was, what is, and what made the difference."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    table.add_column("", overflow="fold")
    before, after = report.operators.before, report.operators.after
    table.add_row("operators", f"{sum(before.values())}", f"{sum(after.values())}", _changes(report, is_verbose))
    sizes = report.size_bytes
    table.add_row("size", _mib(sizes.before), _mib(sizes.after), "")
    latency = report.latency
    if latency is not None:
        table.add_row(
            "latency",
            f"{latency.original_us / 1000:.3f} ms",
            f"{latency.optimized_us / 1000:.3f} ms",
            _interval(latency.speedup, latency.speedup_low, latency.speedup_high)
            + f", {latency.provider}, {latency.threads or 'default'} threads",
        )
    session = report.session
    if session is not None:
        options = ", ".join((session.graph_optimization_level, *(f"no {name}" for name in session.disabled_optimizers)))
        tuned = _interval(session.speedup, session.speedup_low, session.speedup_high)
        table.add_row("eqsat.load", "", "", escape(f"{tuned}, {options}"))
    inputs = report.inputs
    if inputs is not None:
        at = _shapes(inputs.shapes)
        assumed = ", ".join(_first(inputs.assumptions, is_verbose))
        table.add_row("inputs", "", inputs.source, escape(f"{at}; assumed: {assumed}" if assumed else at))
    error = "" if report.max_abs_error is None else f"largest difference {report.max_abs_error:.2e}"
    if inputs is not None and inputs.verified_at:
        count = len(inputs.verified_at)
        at = f"{sum(inputs.draws.values())} sets of inputs, {count} {'shape' if count == 1 else 'shapes'}"
        error = f"{error}, {at}" if error else at
    table.add_row("verified", "", "yes" if report.verified else "no", error)
    if report.rules:
        shown = report.rules if is_verbose else report.rules[:_MAX_RULES]
        more = f", {len(report.rules) - len(shown)} more" if len(shown) < len(report.rules) else ""
        names = ", ".join(f"{rule.name} {rule.applied}" for rule in shown)
        table.add_row("rules", "", f"{sum(rule.applied for rule in report.rules)}", escape(names + more))
    return table


def rules_table(rules: Iterable[Rule]) -> Table:
    """Return the table behind ``--list-rules``: a row for each entry of the rules files, both directions in one."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for heading in ("kind", "group", "floats", "requires", "source"):
        table.add_column(heading, overflow="fold")
    for rule in {rule.entry: rule for rule in rules}.values():
        cells = (rule.entry, rule.kind.value, rule.group, rule.floats.value, rule.requires, rule.source)
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _changes(report: Report, is_verbose: bool) -> str:
    before, after = report.operators.before, report.operators.after
    changes = {
        name: after.get(name, 0) - before.get(name, 0)
        for name in dict.fromkeys((*before, *after))
        if after.get(name, 0) != before.get(name, 0)
    }
    ordered = sorted(changes, key=lambda name: (-abs(changes[name]), name))
    shown = ordered if is_verbose else ordered[:_MAX_OPERATORS]
    more = [f"{len(ordered) - len(shown)} more"] if len(shown) < len(ordered) else []
    return escape(", ".join([f"{name} {changes[name]:+d}" for name in shown] + more))


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    texts = [f"{name} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items()]
    more = [f"{len(texts) - _MAX_INPUTS} more"] if len(texts) > _MAX_INPUTS else []
    return ", ".join(texts[:_MAX_INPUTS] + more)


def _first(lines: tuple[str, ...], is_verbose: bool) -> tuple[str, ...]:
    is_cut = len(lines) > _MAX_INPUTS and not is_verbose
    return (*lines[:_MAX_INPUTS], f"{len(lines) - _MAX_INPUTS} more") if is_cut else lines


def _interval(middle: float, low: float, high: float) -> str:
    return f"{middle:.3f}x ({low:.3f} to {high:.3f})"


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.1f} MiB"
