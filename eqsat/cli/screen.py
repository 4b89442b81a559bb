"""What a run looks like: progress on stderr while it goes on, a table at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol, final

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from eqsat.pipeline.events import Event, Stage
from eqsat.text.shown import one_line

if TYPE_CHECKING:
    pass


_SPARE_COLUMNS: Final = 4
"""Room for what the terminal itself shows of Ctrl-C."""

_REFRESHES_A_SECOND: Final = 8

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES: Final = "|/-\\"
"""Both show that the run is alive."""


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
    """Keeps one line up to date on a terminal: what goes on, the time left of the budget, the best so far.

    The line is a few columns shorter than the terminal, so that the terminal's own echo of Ctrl-C does not break it:
    a line that is broken could not be taken away again.
    """

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin the line.

        Args:
            budget_s: The run's time budget.
            clock: Seconds on a clock that only goes forward.
        """
        self._clock = clock
        self._deadline = clock() + budget_s
        self._event = Event(stage=Stage.START, message="")

    def show(self, event: Event) -> None:
        """Bring the line up to date."""
        self._event = event

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the line, as long as the terminal is wide."""
        event, now = self._event, self._clock()
        left_s = max(self._deadline - now, 0.0)
        frames = _ASCII_FRAMES if options.ascii_only else _FRAMES
        frame = frames[int(now * _REFRESHES_A_SECOND) % len(frames)]
        line = Text.assemble(frame, " ", (f"{event.stage.value:8}", "bold"))
        if event.fraction is not None:
            line.append(f" {event.fraction:4.0%}")
        line.append(f" {int(left_s // 60)}:{int(left_s % 60):02d} left")
        if event.best_speedup is not None:
            line.append(f" best {event.best_speedup:.2f}x", "green")
        line.append(f" {one_line(event.message)}")
        line.truncate(max(options.max_width - _SPARE_COLUMNS, 1), overflow="ellipsis")
        yield line


@contextmanager
def screen(console: Console, verbosity: Verbosity, budget_s: float) -> Iterator[Screen]:
    """Yield the screen that suits the console: live on a terminal, lines otherwise and where every event counts."""
    if verbosity is Verbosity.QUIET:
        yield SilentScreen()
    elif verbosity is Verbosity.VERBOSE or not console.is_terminal:
        yield PlainScreen(console, is_verbose=verbosity is Verbosity.VERBOSE)
    else:
        line = LiveScreen(budget_s)
        with Live(line, console=console, transient=True, refresh_per_second=_REFRESHES_A_SECOND):
            yield line
