"""Kills runs at random moments, by every signal that a user or a system sends, and looks at what is left.

    python -m bench.kills [MODEL.onnx] [--kills 60] [--seed 0] [--threads 1]

A run is an ordinary one, ``python -m eqsat.run``, of a model from :mod:`bench.toys` by default. After each must hold:

- no process of the run lives on, and no file of it lies in the folder of temporary files; after SIGKILL, the next run
  has removed what was there;
- OUTPUT is missing, or the input byte for byte, or a model that ``onnx.checker`` accepts; nothing else lies beside it;
- the exit code is 130, or 0 where the run was done before; INPUT is as it was; the price database is whole.

The moments are drawn evenly over the time that a run takes when nobody disturbs it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import onnx
import psutil

from eqsat.isolation.temporary import PREFIX

SIGNALS: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGKILL,
)  # fmt: skip

BEGIN_S: Final = 30.0
"""Seconds within which Python has started and the program says what signals do; no signal is sent before it has."""

_GONE_S: Final = 20.0
_MARK: Final = "EQSAT_KILLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the runs of one harness take place.

    Attributes:
        folder: Everything is in here.
        command: Starts a run when the input and the output are added.
        options: What follows them.
    """

    folder: Path
    command: Sequence[str] = (sys.executable, "-m", "eqsat.run")
    options: Sequence[str] = ()

    @property
    def model(self) -> Path:
        """The input."""
        return self.folder / "model.onnx"

    @property
    def output(self) -> Path:
        """The output, in a folder of its own."""
        return self.folder / "output" / "out.onnx"

    @property
    def scratch(self) -> Path:
        """The folder of temporary files."""
        return self.folder / "temporary"

    @property
    def database(self) -> Path:
        """The price database."""
        return self.folder / "prices.sqlite"

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run."""
        for each in (self.output.parent, self.scratch):
            each.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [*self.command, str(self.model), str(self.output), "--cost-db", str(self.database), *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.scratch), _MARK: str(self.folder)},
            start_new_session=True,
        )


@dataclass(slots=True, kw_only=True)
class Counts:
    """What came of the kills.

    Attributes:
        endings: Kills by signal, exit code and what became of OUTPUT.
        faults: What did not hold.
    """

    endings: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Return the counts as a table."""
        rows = [
            f"| {name} | {code} | {output} | {count} |" for (name, code, output), count in sorted(self.endings.items())
        ]
        return "\n".join(["| signal | exit code | OUTPUT | runs |", "|---|---|---|---|", *rows, ""])


def undisturbed_s(place: Place) -> float:
    """Return how long a run takes; the first one fills the price database and does not count."""
    taken_s = 0.0
    for _ in range(2):
        began = time.monotonic()
        process = place.start()
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(f"a run that nobody disturbs fails: {errors.decode(errors='replace')}")
        taken_s = time.monotonic() - began
    return taken_s


def kill(
    place: Place,
    number: signal.Signals,
    after_s: float,
    *,
    times: int,
    counts: Counts,
    begin_s: float = BEGIN_S,
) -> None:
    """Start a run, send it a signal, and look at what is left.

    Args:
        place: Where it runs.
        number: The signal.
        after_s: Seconds after the program has begun.
        times: How often the signal is sent, at intervals of some hundredths of a second.
        counts: Are added to.
        begin_s: Seconds after which the program must have begun.
    """
    before = place.model.read_bytes()
    shutil.rmtree(place.output.parent, ignore_errors=True)
    process = place.start()
    if number is not signal.SIGKILL:
        _await_begin(process, begin_s)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.03)
    _, errors = process.communicate()
    code, name = process.returncode, f"{number.name}{f' x{times}' if times > 1 else ''}"
    what = _output(place, before)
    counts.endings[name, code, what] += 1
    faults = [f"OUTPUT is {what}"] if what == "broken" else []
    if code not in ({0, -signal.SIGKILL} if number is signal.SIGKILL else {0, 130}):
        faults.append(f"exit code {code}: {errors.decode(errors='replace')[-500:]}")
    if code == 0 and what == "missing":
        faults.append("exit code 0 without OUTPUT")
    if b"Traceback" in errors:
        faults.append(errors.decode(errors="replace")[-500:])
    faults += [f"left a process: {each}" for each in _living(place)]
    if number is not signal.SIGKILL:
        faults += [f"left {path}" for path in place.scratch.iterdir()]
    elif any(not path.name.startswith(PREFIX) for path in place.scratch.iterdir()):
        faults.append(f"left what no run removes: {list(place.scratch.iterdir())}")
    if place.model.read_bytes() != before:
        faults.append("INPUT was changed")
    with closing(sqlite3.connect(place.database)) as database:
        faults += [f"database: {row[0]}" for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
    counts.faults += [f"{name} after {after_s:.2f} s: {fault}" for fault in faults]


def _await_begin(process: subprocess.Popen[bytes], limit_s: float) -> None:
    """Wait until a process catches SIGTERM."""
    deadline = time.monotonic() + limit_s
    bit = 1 << (signal.SIGTERM - 1)
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
            if any(line.startswith("SigCgt:") and int(line.split()[1], 16) & bit for line in lines):
                return
        time.sleep(0.002)


def _output(place: Place, model: bytes) -> str:
    """Say what became of OUTPUT."""
    beside = {path.name for path in place.output.parent.iterdir()} - {place.output.name}
    if beside - {f"{place.output.name}.data"}:
        return "broken"
    if not place.output.exists():
        return "missing"
    if place.output.read_bytes() == model:
        return "the input"
    try:
        onnx.checker.check_model(str(place.output))
    except (onnx.checker.ValidationError, ValueError):
        return "broken"
    return "faster"


def _living(place: Place) -> list[str]:
    """Return the processes of the runs that do not end."""
    deadline = time.monotonic() + _GONE_S
    while True:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == str(place.folder):
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
        if not found or time.monotonic() >= deadline:
            return found
        time.sleep(0.05)


def kill_many(place: Place, num_kills: int, *, seed: int) -> Counts:
    """Kill runs at random moments, a third of them by several signals in a row."""
    rng, counts = random.Random(seed), Counts()
    whole_s = undisturbed_s(place)
    for index in range(num_kills):
        number = SIGNALS[index % len(SIGNALS)]
        times = rng.choice((1, 1, 3)) if number is not signal.SIGKILL else 1
        kill(place, number, rng.uniform(0.0, whole_s), times=times, counts=counts)
    place.start().communicate()
    counts.faults += [f"the next run did not remove {path}" for path in place.scratch.iterdir()]
    return counts


def main() -> int:
    """Kill, print the counts, and return 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, help="by default BERT of bench.toys")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-budget", default="20s")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        place = Place(folder=Path(folder), options=("--time-budget", given.time_budget, "--threads", "1"))
        if given.model is None:
            subprocess.run([sys.executable, "-m", "bench.toys", "bert", "-o", str(place.model)], check=True)
        else:
            shutil.copyfile(given.model, place.model)
        counts = kill_many(place, given.kills, seed=given.seed)
    print(counts.table())
    print("\n".join(counts.faults) or "all held")
    return bool(counts.faults)


if __name__ == "__main__":
    sys.exit(main())
