"""``eqsat train``: train a policy for ``--search ppo``."""

from __future__ import annotations

from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Annotated

import typer

from eqsat import arguments
from eqsat.errors import ModelError
from eqsat.extras import learning
from eqsat.output import make_folder
from eqsat.shown import echo
from eqsat.temporary import TemporaryFolder
from ir.errors import InvalidModelError


def train(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the results.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings.  [default: those of the policy that ships]"),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The policy to begin with.  [default: a new one]")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Train on this model, not on the families of models.")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="90, 90s, 10m or 1.5h.  [default: as the settings say]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that FOLDER holds.")] = False,
) -> int:
    """Train a policy that chooses rewrites.

    FOLDER/best is then the policy: eqsat run MODEL.onnx --search ppo --search-option policy=FOLDER/best
    """
    make_folder(output)
    try:
        get_temp_dir()  # that of multiprocessing, which it removes itself, at the end of this process
        with TemporaryFolder() as folder, folder.as_home():
            with learning("eqsat train"):
                from rl.config import DEFAULT
                from rl.training_command import run_training

            summary = run_training(
                output=output,
                config=config or DEFAULT,
                start=start,
                is_resumed=resume,
                time_limit_s=None if time_limit is None else arguments.parse_duration_s(time_limit),
                models=model or (),
                tell=echo,
            )
    except InvalidModelError as error:
        raise ModelError(str(error)) from error
    echo(summary.table())
    return 0
