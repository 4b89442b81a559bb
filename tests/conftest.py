"""Tests run beside each other: a network of a test gets one thread, so that workers do not wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
