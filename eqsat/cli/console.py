"""The ``eqsat`` command: ``eqsat run MODEL.onnx``, ``eqsat rules`` and ``eqsat train``."""

from __future__ import annotations

import typer

from eqsat.cli import rules as rules_cli
from eqsat.cli.face import HELP_NAMES
from eqsat.cli.run import Version, run
from eqsat.cli.train import train
from eqsat.text.shown import echo

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP_NAMES)
app.command()(run)
app.command()(train)
app.add_typer(rules_cli.app, name="rules")


@app.callback(invoke_without_command=True)
def commands(context: typer.Context, version: Version = False) -> None:  # noqa: ARG001 -- its callback does the work
    """Faster ONNX models that compute the same, by equality saturation."""
    if context.invoked_subcommand is None:
        echo(context.get_help())
