"""``eqsat train``: train a policy for ``--search ppo``."""

from __future__ import annotations

from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Annotated

import typer

from eqsat.errors import ModelError, UsageError
from eqsat.isolation.temporary import TemporaryFolder
from eqsat.pipeline.output import make_folder
from eqsat.runtime.providers import provider_names
from eqsat.text import arguments
from eqsat.text.extras import learning
from eqsat.text.shown import echo
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
    rules: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A further rules file, for --model.")] = None,
    provider: Annotated[
        str, typer.Option(metavar="NAME", help="ONNX Runtime provider that --model is priced on.")
    ] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Intra-op threads that --model is priced with; 0: default.")] = 0,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:1,3,224,224", help="Shape that --model is priced at; batch=4 for a symbolic dimension."
        ),
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="90, 90s, 10m or 1.5h.  [default: as the settings say]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that FOLDER holds.")] = False,
) -> int:
    """Train a policy that chooses rewrites.

    FOLDER/best is then the policy: eqsat run MODEL.onnx --search ppo --search-option policy=FOLDER/best
    """
    (provider_name,) = provider_names([provider]) or ("",)
    arguments.parse_input_shapes(input_shape or ())
    if not model and (rules or threads or input_shape or provider != "cpu"):
        raise UsageError(
            "--rules, --provider, --threads and --input-shape are for --model: the families have their own"
        )
    make_folder(output)
    try:
        get_temp_dir()  # that of multiprocessing, which it removes itself, at the end of this process
        with TemporaryFolder() as folder, folder.as_home():
            with learning("eqsat train"):
                from rl.train import absolute, run_training
                from rl.training.config import DEFAULT

            tasks = {
                "models": absolute(model or ()),
                "rules": absolute(rules or ()),
                "provider": provider_name,
                "threads": threads,
                "input_shapes": tuple(input_shape or ()),
            }

            summary = run_training(
                output=output,
                config=config or DEFAULT,
                start=start,
                is_resumed=resume,
                time_limit_s=None if time_limit is None else arguments.parse_duration_s(time_limit),
                tasks=tasks if model else {},
                tell=echo,
            )
    except InvalidModelError as error:
        raise ModelError(str(error)) from error
    echo(summary.table())
    return 0
