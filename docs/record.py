"""Records what the commands print on a terminal, as a picture: ``python docs/record.py``.

The commands run for real, one after the other, in a pseudo-terminal; what they have printed in the end is what stands
in ``docs/recording.svg``. Run it on a machine with nothing else to do: the latencies in the picture are measured.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = ROOT / "docs" / "recording.svg"
COLUMNS: Final = 110

COMMANDS: Final = (
    "eqsat run bert.onnx --threads 2 --time-budget 60s",
    "eqsat run bert.onnx --threads 2 --time-budget 60s --skip-rules optt",
    "eqsat rules operators Softmax",
    "cat wrong.egg",
    "eqsat rules check wrong.egg",
)
"""What is typed. ``bert.onnx`` is exported by ``python -m bench.models bert-4l``."""

WRONG: Final = """\
; SOURCE    relu(a + b) = relu(a) + relu(b), or is it?
; FLOATS    exact
; INSTANCE  a[A,B] b[A,B] | (Relu (Add a b))
(rewrite (Relu (Add a b)) (Add (Relu a) (Relu b)) :ruleset opt :name "relu-of-sum")
"""

_CONTROL: Final = re.compile(r"\x1b\[(?P<number>[\d;?]*)(?P<letter>[A-Za-z])|\r|\n")


def main() -> int:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export = [sys.executable, "-m", "bench.models", "bert-4l", "-o", str(folder / "bert.onnx")]
        subprocess.run(export, cwd=ROOT, check=True)
        (folder / "wrong.egg").write_text(WRONG, encoding="utf-8")
        console = Console(record=True, width=COLUMNS, file=StringIO())
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(shown(printed(command, folder)).replace(str(folder), "...")))
            console.print()
        console.save_svg(str(PICTURE), title="eqsat")
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


def printed(command: str, folder: Path) -> str:
    """Run a command in a terminal of its own and return all that it wrote there."""
    words = shlex.split(command)
    if words[0] == "eqsat":
        words = [sys.executable, "-m", "eqsat", *words[1:]]
    environment = {
        **os.environ,
        "COLUMNS": str(COLUMNS),
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder),
    }
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the last one has closed the terminal
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    os.close(ours)
    return b"".join(parts).decode(errors="replace")


def shown(stream: str) -> str:
    """Return what a terminal shows in the end; colours stay as they are, a line that was taken away is gone."""
    lines, row, position = [""], 0, 0
    for found in _CONTROL.finditer(stream):
        lines[row] += stream[position : found.start()]
        position = found.end()
        if found[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif found["letter"] == "A":
            row = max(row - int(found["number"] or 1), 0)
        elif found["letter"] == "K":
            lines[row] = ""
        elif found["letter"] == "m":
            lines[row] += found[0]
    return "\n".join([*lines[:row], lines[row] + stream[position:]]).rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
