"""Benchmarks: real models, the optimisers that compete with this one, and the paired latency test of them all."""
