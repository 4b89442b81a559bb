"""What must hold when things go wrong: ``python -m bench.robustness --json bench/results/robustness.json``.

Damaged files, hostile price databases, full disks, and kills at random moments. A run may end well, with an output that
ONNX Runtime opens; with exit code 2, 3 or 6 and one line; or interrupted, with code 130. It never ends with code 1 or a
traceback, and leaves nothing: no process, no temporary file, no output that is half written.

Damaged files are read in a few processes that run one job after the other, and a share of them by whole commands.
"""

from __future__ import annotations

import argparse
import datetime
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from bench.documents import ONNX_RUNTIMES, write_results
from bench.robust import damage, victim
from bench.robust.databases import DATABASES, UNTOUCHED
from bench.robust.whole import DEFAULT_BUDGET_S, End, Place, runs, same_outputs
from eqsat.api.supervisor import Isolation, supervise
from eqsat.errors import INTERRUPTED_EXIT_CODE, BudgetError, EqsatError, ModelError, UsageError
from eqsat.pipeline.job import Budget, Job
from eqsat.runtime import MeasurementError, Runtime

DAMAGED_BUDGET_S: Final = 3.0
SAVED_EVERY: Final = 50
"""Attempts after which what was found is written, for a pass takes most of an hour."""

CHUNK: Final = 20
"""Damaged files that one process reads before another one takes its place."""

REFUSALS: Final = frozenset({UsageError.exit_code, ModelError.exit_code, BudgetError.exit_code})
"""Exit codes of a run that has no result and says why: a damaged file may ask for more memory than there is."""

SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGKILL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt.

    Attributes:
        part: Which part it belongs to.
        name: What was done.
        end: How it ended, in a few words.
        fault: What is wrong with that; empty where it held.
        detail: What the run said.
    """

    part: str
    name: str
    end: str
    fault: str = ""
    detail: str = ""


# --- damaged files ----------------------------------------------------------------------------------------------


def damaged_files(count: int, first: int, whole_every: int, num_processes: int) -> Iterator[Row]:
    """Yield a row for each damaged file read in a process among others, and for those read by whole commands."""
    seeds = list(range(first, first + count))
    chunks = [seeds[start : start + CHUNK] for start in range(0, count, CHUNK)]
    for chunk, rows in _in_processes(chunks, num_processes):
        yield from rows or (row for seed in chunk for row in _one_by_one(seed))
    with tempfile.TemporaryDirectory() as folder, Runtime() as runtime:
        place = Place(root=Path(folder))
        for seed in seeds[::whole_every] if whole_every else []:
            yield _whole_damaged(seed, place, runtime)


def _in_processes(chunks: Sequence[list[int]], num_processes: int) -> Iterator[tuple[list[int], list[Row]]]:
    """Yield the rows of each chunk; none for a chunk whose process died."""
    waiting = list(chunks)
    while waiting:
        batch, waiting = waiting[:num_processes], waiting[num_processes:]
        with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(read_damaged, chunk) for chunk in batch]
            for chunk, future in zip(batch, futures, strict=True):
                try:
                    yield chunk, future.result()
                except BrokenProcessPool:
                    yield chunk, []


def _one_by_one(seed: int) -> Iterator[Row]:
    """The one of a chunk that ended the process, found by reading each alone."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.submit(read_damaged, [seed]).result()
        except BrokenProcessPool:
            name, _ = damage.damaged(seed)
            yield Row(
                part="damaged files", name=name, end="process died", fault="the process died", detail=f"seed {seed}"
            )


def read_damaged(seeds: Sequence[int]) -> list[Row]:
    """Run a job on each of some damaged files, in this process, and return how it ended."""
    rows = []
    with tempfile.TemporaryDirectory() as name, Runtime() as runtime:
        folder = Path(name)
        for seed in seeds:
            kind, data = damage.damaged(seed)
            source, target = folder / f"{seed}.onnx", folder / f"{seed}.out.onnx"
            source.write_bytes(data)
            job = Job(
                input_path=str(source),
                output_path=str(target),
                threads=1,
                budget=Budget(time_s=DAMAGED_BUDGET_S),
                search="saturate",
                num_checks=1,
                cost_db=str(folder / "prices.sqlite"),
            )
            rows.append(_judged(seed, kind, job, runtime))
            for path in (source, target):
                path.unlink(missing_ok=True)
    return rows


def _judged(seed: int, kind: str, job: Job, runtime: Runtime) -> Row:
    part, target = "damaged files", Path(job.output_path)
    try:
        report = supervise(job, isolation=Isolation.NONE)
    except EqsatError as error:
        code = error.exit_code
        fault = "" if code in REFUSALS else f"exit code {code}"
        if not fault and target.exists():
            fault = "an output in spite of the error"
        return Row(part=part, name=kind, end=f"exit {code}", fault=fault, detail=f"seed {seed}: {_line(str(error))}")
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = (
            f"seed {seed}: {type(error).__name__}: {_line(str(error))} at {Path(where.filename).name}:{where.lineno}"
        )
        return Row(part=part, name=kind, end="exit 1", fault="an internal error", detail=detail)
    refusal = runs(runtime, target)
    fault = _fault_of_refused(refusal)
    detail = f"seed {seed}: {report.status}: {_line(report.reason)} {_line(refusal)}"
    return Row(part=part, name=kind, end=f"exit 0, {report.status}", fault=fault, detail=detail)


def _fault_of_refused(refusal: str) -> str:
    """What is wrong with an output of which ONNX Runtime says this; empty: nothing."""
    return "" if not refusal or _is_unknown_here(refusal) else "an output that does not run"


def _is_unknown_here(refusal: str) -> bool:
    """Whether a model is refused because this ONNX Runtime is too old or has no such operator: a copy is right then."""
    words = (
        "Could not find an implementation",
        "No Op registered for",
        "is not a registered function",
        "Unsupported model IR version",
        "only *guarantees* support",
    )
    return any(word in refusal for word in words)


def _whole_damaged(seed: int, place: Place, runtime: Runtime) -> Row:
    place.clear()
    kind, data = damage.damaged(seed)
    source, target = place.work / "model.onnx", place.work / "out.onnx"
    source.write_bytes(data)
    end = place.run(
        place.command("model.onnx", "out.onnx", budget_s=DAMAGED_BUDGET_S),
        allowed=("model.onnx", "out.onnx"),
        budget_s=DAMAGED_BUDGET_S,
    )
    fault = end.fault
    if not fault and end.exit_code == 0:
        fault = _fault_of_refused(runs(runtime, target))
    elif not fault and end.exit_code in REFUSALS:
        fault = "" if len(end.errors) == 1 else f"{len(end.errors)} error lines"
        fault = fault or ("an output in spite of the error" if target.exists() else "")
    elif not fault:
        fault = f"exit code {end.exit_code}"
    detail = f"seed {seed}: {_line(' '.join(end.said))}"
    return Row(part="damaged files, whole commands", name=kind, end=f"exit {end.exit_code}", fault=fault, detail=detail)


# --- databases, disks, kills ------------------------------------------------------------------------------------


def hostile_databases() -> Iterator[Row]:
    """Yield a row for each database that nobody would wish for."""
    with tempfile.TemporaryDirectory() as folder, Runtime() as runtime:
        place = Place(root=Path(folder))
        victim.write(place.work / "model.onnx")
        database, sound = place.work / "prices.sqlite", place.root / "sound.sqlite"
        place.run(place.command("model.onnx", "out.onnx", "--cost-db", str(sound)))
        for name, spoil in DATABASES.items():
            place.clear()
            victim.write(place.work / "model.onnx")
            shutil.copy(sound, database)
            spoil(database)
            before = _bytes(database) if name in UNTOUCHED else b""
            end = place.run(
                place.command("model.onnx", "out.onnx", "--cost-db", str(database)),
                allowed=(
                    "model.onnx",
                    "out.onnx",
                    *(f"prices.sqlite{more}" for more in ("", "-wal", "-shm", "-journal")),
                ),
            )
            fault = end.fault or ("" if end.exit_code == 0 else f"exit code {end.exit_code}")
            fault = fault or wrong_output(place, runtime)
            if not fault and name in UNTOUCHED and _bytes(database) != before:
                fault = "it was changed"
            with suppress(OSError):
                database.chmod(0o600)
            yield Row(
                part="hostile databases",
                name=name,
                end=f"exit {end.exit_code}",
                fault=fault,
                detail=_line(" ".join(end.said)),
            )


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def full_disks() -> Iterator[Row]:
    """Yield a row for each place that is full."""
    with tempfile.TemporaryDirectory() as folder, Runtime() as runtime:
        root = Path(folder)
        for name, prepare in DISKS.items():
            place = Place(root=root / name.replace(" ", "-"))
            victim.write(place.work / "model.onnx")
            disk = prepare(place)
            if disk is None:
                yield Row(part="full disks", name=name, end="not tried", detail="no such device or right here")
                continue
            try:
                end = place.run(
                    place.command(*disk.arguments),
                    allowed=("model.onnx", "out.onnx", "report.json", "small"),
                    before=disk.before,
                )
                fault = end.fault
                if not fault and end.exit_code == 0:
                    fault = "" if disk.output is None else wrong_output(place, runtime, disk.output)
                elif not fault and (len(end.errors) != 1 or end.exit_code == 1):
                    fault = f"exit code {end.exit_code} and {len(end.errors)} error lines"
                elif not fault and disk.output is not None and disk.output.exists() and end.exit_code != 0:
                    fault = wrong_output(place, runtime, disk.output)
            finally:
                disk.undo()
            yield Row(
                part="full disks", name=name, end=f"exit {end.exit_code}", fault=fault, detail=_line(" ".join(end.said))
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A place that is full.

    Attributes:
        arguments: Of the run that meets it.
        output: The output, where it is a file.
        before: Is called in the new process.
        undo: Is called afterwards.
    """

    arguments: tuple[str, ...]
    output: Path | None
    before: Callable[[], None] | None = None
    undo: Callable[[], object] = lambda: None


def _limited(num_bytes: int) -> Callable[[Place], Disk]:
    """No file may grow beyond a limit: what a full disk does to whoever writes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))

    def prepare(place: Place) -> Disk:
        return Disk(arguments=("model.onnx", "out.onnx"), output=place.work / "out.onnx", before=limit)

    return prepare


def _full_report(place: Place) -> Disk:
    return Disk(arguments=("model.onnx", "out.onnx", "--json", "/dev/full"), output=place.work / "out.onnx")


def _full_output(_place: Place) -> Disk:
    return Disk(arguments=("model.onnx", "/dev/full"), output=None)


def _full_tmpfs(size: str, where: str) -> Callable[[Place], Disk | None]:
    """A small file system in memory, for the output or for temporary files."""

    def prepare(place: Place) -> Disk | None:
        small = place.work / "small" if where == "output" else place.temporary
        small.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return None
        output = small / "out.onnx" if where == "output" else place.work / "out.onnx"
        return Disk(
            arguments=("model.onnx", str(output)),
            output=output,
            undo=lambda: subprocess.run(["umount", "-l", str(small)], check=False),  # noqa: S607  # the system's own
        )

    return prepare


DISKS: Final[dict[str, Callable[[Place], Disk | None]]] = {
    "no file over 0 bytes": _limited(0),
    "no file over 1 KiB": _limited(1024),
    "no file over 20 KiB": _limited(20 * 1024),
    "a report on a full device": _full_report,
    "an output on a full device": _full_output,
    "an output on a full file system": _full_tmpfs("4k", "output"),
    "temporary files on a full file system": _full_tmpfs("4k", "temporary"),
    "temporary files with some room": _full_tmpfs("64k", "temporary"),
}
"""Places that are full, by name."""


def kills(count: int, seed: int) -> Iterator[Row]:
    """Yield a row for each run that a signal ended at a random moment."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, Runtime() as runtime:
        place = Place(root=Path(folder))
        victim.write(place.work / "model.onnx")
        usual = place.run(place.command("model.onnx", "out.onnx"), allowed=("model.onnx", "out.onnx"))
        for number in range(count):
            (place.work / "out.onnx").unlink(missing_ok=True)
            kind = SIGNALS[number % len(SIGNALS)]
            after_s = rng.uniform(0.0, usual.seconds)

            def disturb(
                process: subprocess.Popen[bytes], kind: signal.Signals = kind, after_s: float = after_s
            ) -> None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=after_s)
                    return
                process.send_signal(kind)

            end = place.run(
                place.command("model.onnx", "out.onnx"), allowed=("model.onnx", "out.onnx"), while_it_runs=disturb
            )
            fault = _fault_of_killed(end, kind, place, runtime)
            name = f"{kind.name} after {after_s / usual.seconds:.0%}"
            yield Row(
                part="kills", name=name, end=f"exit {end.exit_code}", fault=fault, detail=_line(" ".join(end.said))
            )
        end = place.run(place.command("model.onnx", "out.onnx"), allowed=("model.onnx", "out.onnx"))
        left = ", ".join(sorted(path.name for path in place.temporary.iterdir()))
        fault = end.fault or ("" if end.exit_code == 0 else f"exit code {end.exit_code}")
        fault = fault or (f"{left} still there" if left else "")
        yield Row(part="kills", name="the run after them", end=f"exit {end.exit_code}", fault=fault)


def _fault_of_killed(end: End, kind: signal.Signals, place: Place, runtime: Runtime) -> str:
    if kind is signal.SIGKILL:
        # Nobody can clean up after this one but the next run: what it leaves in TMPDIR is looked at after that.
        left = tuple(name for name in end.left_files if not name.startswith("TMPDIR/"))
        fault = (
            f"left {', '.join(left)}"
            if left
            else (f"{len(end.left_processes)} processes left" if end.left_processes else "")
        )
        codes = {0, -signal.SIGKILL}
    else:
        fault, codes = end.fault, {0, INTERRUPTED_EXIT_CODE}
        if not end.said and not (place.work / "out.onnx").exists():
            codes.add(-kind)  # Python had not begun with us
    if not fault and end.exit_code not in codes:
        fault = f"exit code {end.exit_code}"
    if not fault and end.exit_code == INTERRUPTED_EXIT_CODE and len(end.errors) > 1:
        fault = f"{len(end.errors)} error lines"
    output = place.work / "out.onnx"
    if not fault and (output.exists() or end.exit_code == 0):
        fault = wrong_output(place, runtime)
    return fault


def wrong_output(place: Place, runtime: Runtime, output: Path | None = None) -> str:
    """Return what is wrong with an output of the small model; empty where nothing is."""
    output = place.work / "out.onnx" if output is None else output
    if not output.exists():
        return "no output"
    try:
        is_same = same_outputs(runtime, place.work / "model.onnx", output, victim.feeds())
    except MeasurementError as error:
        return f"an output that does not run: {error}"
    return "" if is_same else "an output that computes something else"


# --- the command ------------------------------------------------------------------------------------------------


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def table(rows: Sequence[Row]) -> str:
    """Return the counts of each part as a table."""
    lines = [f"{'part':34}{'tried':>7}{'held':>7}  ends"]
    for part in dict.fromkeys(row.part for row in rows):
        own = [row for row in rows if row.part == part]
        ends = Counter(row.end for row in own).most_common()
        held = sum(not row.fault for row in own)
        lines.append(f"{part:34}{len(own):7}{held:7}  {', '.join(f'{count} {end}' for end, count in ends)}")
    return "\n".join(lines)


def document(rows: Sequence[Row], given: argparse.Namespace) -> dict[str, Any]:
    """Return the counts of each part and every attempt, as JSON values."""
    counts = {
        part: {
            "tried": sum(row.part == part for row in rows),
            "held": sum(row.part == part and not row.fault for row in rows),
            "ends": dict(Counter(row.end for row in rows if row.part == part)),
        }
        for part in dict.fromkeys(row.part for row in rows)
    }
    return {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "options": {key: value for key, value in vars(given).items() if key != "json"},
        "budget_s": DEFAULT_BUDGET_S,
        "counts": counts,
        "attempts": [asdict(row) for row in rows],
    }


def save(rows: Sequence[Row], given: argparse.Namespace) -> None:
    """Write what was found so far, where a file is named for it."""
    write_results(given.json, document(rows, given), "eqsat", "egglog", "numpy", "onnx", *ONNX_RUNTIMES)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.robustness", description="What holds when things go wrong.")
    parser.add_argument("--damaged", type=int, default=2_000, help="damaged files")
    parser.add_argument("--first", type=int, default=0, help="seed of the first damaged file")
    parser.add_argument(
        "--whole-every", type=int, default=20, help="of so many damaged files one is read by a whole command; 0: none"
    )
    parser.add_argument("--kills", type=int, default=60, help="runs that are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--parts", default="damaged,databases,disks,kills", help="names with commas between")
    parser.add_argument("--processes", type=int, default=2, help="that read damaged files side by side")
    parser.add_argument("--json", type=Path, help="write every attempt to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, print what did not hold and a table; 1 where something did not hold."""
    given = parse_arguments(arguments)
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "damaged": lambda: damaged_files(given.damaged, given.first, given.whole_every, given.processes),
        "databases": hostile_databases,
        "disks": full_disks,
        "kills": lambda: kills(given.kills, given.seed),
    }
    rows: list[Row] = []
    start_s = time.monotonic()
    for name in given.parts.split(","):
        for row in parts[name]():
            rows.append(row)
            if row.fault:
                print(f"{row.part}: {row.name}: {row.end}: {row.fault} ({row.detail})", flush=True)
            if len(rows) % SAVED_EVERY == 0:
                print(f"{len(rows)} attempts, {time.monotonic() - start_s:.0f} s", file=sys.stderr, flush=True)
                save(rows, given)
    print(table(rows))
    save(rows, given)
    return 1 if any(row.fault for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
