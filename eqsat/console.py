"""The ``eqsat`` command: ``eqsat run MODEL.onnx``, ``eqsat rules`` and ``eqsat train``."""

from __future__ import annotations

import sys

import typer

from eqsat import rules_cli
from eqsat.face import call
from eqsat.run import run
from eqsat.train_cli import train

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command()(run)
app.command()(train)
app.add_typer(rules_cli.app, name="rules")


@app.callback(invoke_without_command=True)
def commands(context: typer.Context) -> None:
    """Faster ONNX models that compute the same, by equality saturation."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the ``eqsat`` command and end this process with its exit code."""
    sys.exit(call(app))
