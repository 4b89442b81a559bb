"""A process ends with the one that started it, where the kernel sees to it and where it does not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

STARTER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
"""

CHILD = """
import os, platform, sys, time
platform.system = lambda: {system!r}
from eqsat.isolation import parent
parent.die_with_parent()
print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks for Linux's way too")
@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_it_ends_with_its_parent(system: str) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, CHILD.format(system=system)],
        stdout=write,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as starter:
        os.close(write)
        starter.wait()
    with os.fdopen(read) as said:
        assert int(said.read())  # the child's id; the starter has ended, and the child with it


def test_it_lives_as_long_as_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    code = CHILD.format(system="Darwin").replace("time.sleep(600)", "time.sleep(2.5); print('alive')")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1] == "alive"
