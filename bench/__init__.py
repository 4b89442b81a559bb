"""Benchmarks: real models, the optimisers that compete with this one, and the paired latency test of them all."""

from eqsat.runtime.telemetry import switch_off

switch_off()  # peers import ONNX Runtime themselves
