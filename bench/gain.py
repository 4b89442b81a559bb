"""The gain of random kernels, shared by what is built with torch and what is read from a file."""

from __future__ import annotations

import math

RELU_GAIN = 2.0 / (1.0 - 1.0 / math.pi)
"""Kernels of zero mean and variance ``RELU_GAIN / fan_in`` keep the variance of activations through ReLU layers:
it is one over the variance of ReLU(x) for a standard normal x."""
