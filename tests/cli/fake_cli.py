"""The command line with a worker that has a stand-in for the optimiser: ``fake_cli.py MODE ARGUMENTS``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from eqsat.cli.start import begin

if __name__ == "__main__":
    begin()

import eqsat.cli.run
from eqsat.api.supervisor import supervise
from eqsat.cli.face import call, end

if __name__ == "__main__":
    worker = (sys.executable, str(Path(__file__).with_name("fake_worker.py")), sys.argv[1])
    vars(eqsat.cli.run)["supervise"] = partial(supervise, worker_command=worker)
    end(call(eqsat.cli.run.app, sys.argv[2:]))
