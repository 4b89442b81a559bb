"""Networks of tests are tiny: more than one thread makes them slower, on a busy machine by an order of magnitude."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
