"""``eqsat run INPUT [OUTPUT]``: a faster model in OUTPUT, or a copy of INPUT and the reason why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from eqsat.api.supervisor import Isolation, supervise
from eqsat.cli import signals, streams
from eqsat.cli.face import HELP_NAMES, InterruptedRunError, fail
from eqsat.cli.printing import print_rows
from eqsat.cli.screen import Verbosity, screen
from eqsat.errors import INTERRUPTED_EXIT_CODE, EqsatError, SayingError, UsageError
from eqsat.pipeline import output
from eqsat.pipeline.job import Budget, Job, Prices, Target
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Ending, Status
from eqsat.pipeline.table import headline, summary
from eqsat.runtime.providers import provider_names
from eqsat.text import arguments
from eqsat.text.arguments import Growth
from eqsat.text.shown import console, echo, one_line
from eqsat.text.versions import __version__
from rl.searches import check_trained

_STDOUT: Final = "-"


def _print_version(is_asked: bool) -> None:
    if is_asked:
        echo(f"eqsat {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
]


def run(
    model: Annotated[Path | None, typer.Argument(metavar="INPUT", help="The ONNX model.")] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="OUTPUT", help="Where the result goes.  [default: INPUT with .opt.onnx]"),
    ] = None,
    output_option: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUTPUT", help="The same as OUTPUT after INPUT.")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="ONNX Runtime provider; repeat it, or use commas, in order of priority."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Intra-op threads the model will run with; 0: default.")] = 0,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:1,3,224,224",
            help="Shape to measure at; batch=4 for a symbolic dimension, 1,3 for the only input.",
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="Inputs to measure and verify with: FILE.npz, a folder, or module:function."
        ),
    ] = None,
    custom_ops: Annotated[
        list[Path] | None, typer.Option(metavar="LIBRARY", help="A library of custom operators for ONNX Runtime.")
    ] = None,
    rules: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A further rules file.")] = None,
    skip_rules: Annotated[
        list[str] | None, typer.Option(metavar="NAMES", help="Rules or groups of rules to leave out.")
    ] = None,
    enable_rules: Annotated[
        list[str] | None, typer.Option(metavar="NAMES", help="Rules that are off by default (lossy ones) to use.")
    ] = None,
    list_rules: Annotated[
        bool, typer.Option("--list-rules", help="Show every rule and end; -v: the facts too.")
    ] = False,
    search: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="auto, saturate, greedy, beam, mcts, random, ppo, world-model, or one that was added."
        ),
    ] = "auto",
    search_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the search.")
    ] = None,
    prices: Annotated[
        Prices, typer.Option(help="Prices to measure: all, those needed, or (auto) these where all take over 20 s.")
    ] = Prices.AUTO,
    train_budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for --search ppo to learn about the model, besides --time-budget."),
    ] = None,
    time_budget: Annotated[str, typer.Option(metavar="TIME", help="90, 90s, 10m, 1.5h or 1m30s.")] = "180s",
    memory_limit: Annotated[str, typer.Option(metavar="SIZE", help="6GiB, 6g (the same), 500MB or bytes.")] = "6GiB",
    max_enodes: Annotated[int, typer.Option(min=1, help="E-nodes at which saturation stops.")] = Budget().max_enodes,
    target: Annotated[
        Target, typer.Option(help="portable: standard ONNX operators only; provider: the provider's own too.")
    ] = Target.PROVIDER,
    max_growth: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="How much larger than INPUT OUTPUT may be: 0, 10%, 1.5x or 64MiB.  [default: 10%, at least 1MiB]",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Use the rules alone that keep infinities and NaN where they are.")
    ] = False,
    check: Annotated[int, typer.Option(min=1, help="Random inputs to verify the result on.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    cost_db: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Price database.  [default: in the user's cache folder]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUTPUT even if it was not made from INPUT.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but write OUTPUT.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is stdout.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and warnings.")] = False,
    version: Version = False,  # noqa: ARG001 -- its callback does the work
) -> int:
    """Make an ONNX model faster.

    OUTPUT computes what INPUT computes, checked on random inputs or on yours, and is measured to be faster on this
    machine; where nothing faster is found it is a copy of INPUT. INPUT is never changed.
    """
    is_json_on_stdout = json is not None and str(json) == _STDOUT
    out = console(is_stderr=is_json_on_stdout)
    if verbose and quiet:
        raise UsageError("--verbose and --quiet exclude each other")
    if list_rules:
        _list_rules(tuple(rules or ()), out, is_verbose=verbose)
        return 0
    if model is None:
        raise UsageError("INPUT is missing: eqsat run MODEL.onnx (--help lists what there is)")
    if outputs is not None and len(outputs) > 1:
        raise UsageError(
            f"{1 + len(outputs)} files are given, and a run takes one INPUT and one OUTPUT; "
            "for several models: for m in *.onnx; do eqsat run $m; done"
        )
    if outputs and output_option is not None:
        raise UsageError("OUTPUT is given twice, after INPUT and with -o")
    result = outputs[0] if outputs else output_option
    if dry_run and result is not None:
        raise UsageError("--dry-run writes nothing, so OUTPUT has no place in it")
    verbosity = Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL
    if train_budget is not None:
        check_trained(search)
    training_s = arguments.parse_duration_s(train_budget) if train_budget is not None else 0.0
    job = Job(
        input_path=str(model),
        output_path="" if dry_run else str(result or output.default_output(model)),
        is_forced=force,
        providers=provider_names(provider or ()) or Job(input_path="").providers,
        threads=threads,
        input_shapes=arguments.parse_input_shapes(input_shape or ()),
        inputs=_source(inputs),
        custom_ops=arguments.library_paths(custom_ops or ()),
        rule_files=tuple(str(path) for path in rules or ()),
        skip_rules=arguments.split_names(skip_rules or ()),
        enable_rules=arguments.split_names(enable_rules or ()),
        search=search,
        search_options=arguments.parse_options(search_option or ()),
        prices=prices,
        budget=Budget(
            time_s=arguments.parse_duration_s(time_budget),
            training_s=training_s,
            memory_bytes=arguments.parse_bytes(memory_limit),
            max_enodes=max_enodes,
        ),
        target=target,
        max_growth=arguments.parse_growth(max_growth) if max_growth is not None else Growth(),
        is_strict=strict,
        num_checks=check,
        seed=seed,
        cost_db="" if cost_db is None else str(cost_db),
    )
    if json is not None and not is_json_on_stdout:
        output.check_report(json, job)
    with signals.noted() as interruption:
        with screen(console(is_stderr=True), verbosity, job.budget.total_s) as shown:
            try:
                report = supervise(
                    job,
                    isolation=Isolation.PROCESS,
                    on_event=shown.show,
                    is_interrupted=lambda: interruption.is_asked,
                )
            except KeyboardInterrupt:
                raise InterruptedRunError("interrupted before there was any result; nothing was written") from None
        _tell(report, out, verbosity)
        exit_code = _exit_code(report)
        if json is not None:
            try:
                _write_report(report, None if is_json_on_stdout else json)
            except EqsatError as error:
                fail(f"the report could not be written: {error}; {_where(report)}", SayingError.exit_code)
                exit_code = exit_code or SayingError.exit_code
    return exit_code


def _exit_code(report: Report) -> int:
    """Say the fault that ended the run, if there was one, and return the exit code."""
    if report.fault:
        return fail(f"{report.fault}; {_where(report)}", EqsatError.exit_code)
    return INTERRUPTED_EXIT_CODE if report.ending is Ending.INTERRUPTED else 0


def _where(report: Report) -> str:
    if not report.output:
        return "nothing was to be written"
    what = "the best result" if report.status is Status.OPTIMIZED else "a copy of the input"
    return f"{report.output} holds {'what an earlier run found' if report.kept else what}"


def _write_report(report: Report, path: Path | None) -> None:
    """Write the report into a file, or to stdout.

    Raises:
        EqsatError: It cannot be written.
    """
    if path is not None:
        output.write_text(path, report.to_json())
        return
    sys.stdout.write(report.to_json())
    failure = streams.failure_of_stdout()
    if failure is not None:
        raise EqsatError(f"stdout: {failure.strerror}")


def _source(inputs: str | None) -> str:
    if inputs is None:
        return ""
    from eqsat.verify.given import check_source

    check_source(inputs)
    return str(Path(inputs).resolve()) if Path(inputs).exists() else inputs


def _list_rules(paths: tuple[Path, ...], out: Console, *, is_verbose: bool) -> None:
    from eqsat.rules import RuleKind, load_rules

    rules = load_rules(paths).rules
    entries = {rule.entry: rule for rule in rules if is_verbose or rule.kind is not RuleKind.FACTS}
    headings = ("rule", "kind", "group", "floats", "requires", "source")
    cells = [
        (rule.entry, rule.kind.value, rule.group, rule.floats.value, rule.requires, rule.source)
        for rule in entries.values()
    ]
    print_rows(out, headings, cells, num_left=len(headings))


def _tell(report: Report, out: Console, verbosity: Verbosity) -> None:
    warnings = console(is_stderr=True)
    for warning in report.warnings:
        line = f"warning: {one_line(warning)}"
        warnings.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if verbosity is Verbosity.QUIET:
        return
    out.print(summary(report, is_verbose=verbosity is Verbosity.VERBOSE))
    out.print(headline(report), style="bold", markup=False, highlight=False, soft_wrap=True)
    if report.output:
        said = (
            f"kept {report.output}, which an earlier run found to be faster"
            if report.kept
            else f"wrote {report.output}"
        )
        out.print(said, markup=False, highlight=False, soft_wrap=True)


app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP_NAMES)
app.command(context_settings=HELP_NAMES)(run)
