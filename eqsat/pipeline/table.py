"""The table that ends a run, and the line below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eqsat.text.shown import one_line

if TYPE_CHECKING:
    from eqsat.pipeline.report_parts import Amounts, ReportFields

_MAX_RULES = 12
_MAX_OPERATORS = 12
_MAX_INPUTS = 4
_PLAIN_WIDTH = 120


def headline(report: ReportFields) -> str:
    """Return the result as one line."""
    match report.status.value:
        case "optimized":
            speedup = f"{report.latency.speedup:.2f}x faster" if report.latency else "optimised, not measured"
            return f"{speedup}: {one_line(report.reason)}"
        case _:
            return f"unchanged: {one_line(report.reason)}"


def summary(report: ReportFields, *, is_verbose: bool = False) -> Table:
    """Return the table that ends a run: what was, what is, and what made the difference."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    table.add_column("", overflow="fold")
    before, after = report.operators.before, report.operators.after
    if before or after:
        table.add_row("operators", f"{sum(before.values())}", f"{sum(after.values())}", _changes(report, is_verbose))
    _add_amounts(table, "parameters", report.parameters, _count)
    _add_amounts(table, "MACs", report.macs, _count)
    sizes = report.size_bytes
    if sizes.before or sizes.after:
        table.add_row("size", _bytes(sizes.before), _bytes(sizes.after), "")
    _add_amounts(table, "memory", report.memory_bytes, _bytes, "peak of a session")
    latency = report.latency
    if latency is not None:
        table.add_row(
            "latency",
            _ms(latency.original_us),
            _ms(latency.optimized_us),
            f"median of {_counted(latency.pairs, 'pair')}, {latency.provider}, {_threads(latency.threads)}",
        )
        table.add_row(
            "speed-up",
            "",
            _times(latency.speedup),
            f"{latency.speedup_low:.3f} to {latency.speedup_high:.3f}"
            + (f", {_times(latency.promised)} promised by prices" if latency.promised is not None else ""),
        )
    elif report.original_us is not None:
        table.add_row("latency", _ms(report.original_us), "", "of the input by itself")
    session = report.session
    if session is not None:
        options = ", ".join((session.graph_optimization_level, *(f"no {name}" for name in session.disabled_optimizers)))
        interval = f"{session.speedup_low:.3f} to {session.speedup_high:.3f}"
        table.add_row("eqsat.load", "", _times(session.speedup), escape(f"{interval}, {options}"))
    _add_inputs(table, report, is_verbose)
    if report.rules:
        shown = report.rules if is_verbose else report.rules[:_MAX_RULES]
        more = f", {len(report.rules) - len(shown)} more" if len(shown) < len(report.rules) else ""
        names = ", ".join(f"{rule.name} {rule.applied}" for rule in shown)
        table.add_row("rules", "", f"{sum(rule.applied for rule in report.rules)}", escape(names + more))
    return table


def as_text(report: ReportFields) -> str:
    """Return the table and the line as text without colours."""
    file = StringIO()
    console = Console(file=file, width=_PLAIN_WIDTH, color_system=None)
    console.print(summary(report))
    console.print(headline(report), markup=False, highlight=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _add_amounts(table: Table, name: str, amounts: Amounts, shown: Callable[[int], str], what: str = "") -> None:
    if amounts.before is not None:
        table.add_row(name, shown(amounts.before), "" if amounts.after is None else shown(amounts.after), what)


def _add_inputs(table: Table, report: ReportFields, is_verbose: bool) -> None:
    """Say what the model was fed, what of it was guessed, and on how much the result was verified."""
    inputs = report.inputs
    if inputs is not None:
        table.add_row("inputs", "", inputs.source, escape(_shapes(inputs.shapes, is_verbose)))
        sizes = tuple(f"{name}={size}" for name, size in inputs.assumed_sizes.items())
        if sizes:
            table.add_row("", "", "assumed", escape(f"{', '.join(_first(sizes, is_verbose))} (--input-shape)"))
        if inputs.assumptions:
            table.add_row("", "", "assumed", escape(f"{', '.join(_first(inputs.assumptions, is_verbose))} (--inputs)"))
    if not report.verified:
        table.add_row("verified", "", "", "nothing to verify: the output is the input" if report.output else "")
        return
    error = "" if report.max_abs_error is None else f"largest difference {report.max_abs_error:.2e}"
    if inputs is not None and inputs.verified_at:
        sets = f"{_counted(sum(inputs.draws.values()), 'set')} of inputs, {_counted(len(inputs.verified_at), 'shape')}"
        error = f"{error}, {sets}" if error else sets
    table.add_row("verified", "", "yes", error)


def _changes(report: ReportFields, is_verbose: bool) -> str:
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


def _shapes(shapes: Mapping[str, tuple[int, ...]], is_verbose: bool) -> str:
    texts = tuple(f"{name} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items())
    return ", ".join(_first(texts, is_verbose))


def _first(lines: tuple[str, ...], is_verbose: bool) -> tuple[str, ...]:
    is_cut = len(lines) > _MAX_INPUTS and not is_verbose
    return (*lines[:_MAX_INPUTS], f"{len(lines) - _MAX_INPUTS} more") if is_cut else lines


def _ms(latency_us: float) -> str:
    return f"{latency_us / 1000:.3f} ms"


def _times(ratio: float) -> str:
    return f"{ratio:.3f}x"


def _threads(count: int) -> str:
    return _counted(count, "thread") if count else "default threads"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _count(amount: int) -> str:
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if amount >= 0.9995 * factor:
            return f"{amount / factor:.3g} {unit}"
    return str(amount)


def _bytes(amount: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= factor:
            return f"{amount / factor:.1f} {unit}"
    return f"{amount} bytes"
