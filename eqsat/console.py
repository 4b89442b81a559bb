"""The ``eqsat`` command: ``eqsat run MODEL.onnx``, ``eqsat rules`` and ``eqsat train``."""

from __future__ import annotations

import typer

from eqsat import rules_cli
from eqsat.run import run
from eqsat.shown import echo
from eqsat.train_cli import train

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command()(run)
app.command()(train)
app.add_typer(rules_cli.app, name="rules")


@app.callback(invoke_without_command=True)
def commands(context: typer.Context) -> None:
    """Faster ONNX models that compute the same, by equality saturation."""
    if context.invoked_subcommand is None:
        echo(context.get_help())
