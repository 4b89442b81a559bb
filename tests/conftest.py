"""Tests run beside each other: a network of a test gets one thread, so that workers do not wait for each other."""

import os

from eqsat.runtime.telemetry import switch_off

os.environ.setdefault("OMP_NUM_THREADS", "1")
switch_off()
