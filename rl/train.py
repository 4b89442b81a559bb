"""The command line of a training: ``python -m rl.train --config FILE.toml --output FOLDER``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from eqsat.errors import EqsatError
from eqsat.text.shown import one_line, plain
from rl.agent.checkpoint import load
from rl.training.config import DEFAULT, read_config
from rl.training.tasks import source_of

if TYPE_CHECKING:
    from rl.training.loop import Summary


def run_training(
    *,
    output: Path,
    config: Path = DEFAULT,
    start: Path | None = None,
    is_resumed: bool = False,
    time_limit_s: float | None = None,
    tasks: Mapping[str, Any] = MappingProxyType({}),
    tell: Callable[[str], None],
) -> Summary:
    """Train as a file says, but for what is given here.

    Args:
        output: Folder of the results.
        config: Settings in TOML.
        start: Folder of the policy to begin with; a new one where it is left out.
        is_resumed: Go on with what ``output`` holds.
        time_limit_s: Seconds, instead of those in the settings.
        tasks: What to train on instead: values of :class:`~rl.training.config.TaskConfig` by name.
        tell: Is told how it goes.

    Raises:
        UsageError: A setting is wrong, or a file cannot be read.
        InvalidModelError: A model cannot be read.
    """
    from rl.training.loop import train

    settings = read_config(config)
    if time_limit_s is not None:
        settings = replace(settings, time_limit_s=time_limit_s)
    settings = replace(settings, tasks=replace(settings.tasks, **tasks))
    return train(
        settings,
        source_of(settings.tasks),
        output,
        start=None if start is None else load(start),
        is_resumed=is_resumed,
        tell=tell,
    )


def absolute(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the full paths of files, for processes that may be elsewhere."""
    return tuple(str(path.absolute()) for path in paths)


def main(arguments: Sequence[str]) -> int:
    """Train, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rl.train", description="Train a policy.")
    parser.add_argument("--config", type=Path, default=DEFAULT, metavar="FILE.toml", help="settings")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the results")
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="the policy to begin with")
    parser.add_argument("--resume", action="store_true", help="go on with what FOLDER holds")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="instead of the one in the settings")
    parser.add_argument("--model", type=Path, action="append", metavar="FILE", help="train on this model instead")
    given = parser.parse_args(arguments)

    def tell(message: str) -> None:
        sys.stdout.write(plain(message) + "\n")
        sys.stdout.flush()

    try:
        summary = run_training(
            output=given.output,
            config=given.config,
            start=given.start,
            is_resumed=given.resume,
            time_limit_s=given.time_limit,
            tasks={"models": absolute(given.model)} if given.model else {},
            tell=tell,
        )
    except EqsatError as error:
        sys.stderr.write(f"python -m rl.train: {one_line(str(error))}\n")
        return error.exit_code
    tell(summary.table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
