"""Learned searches; the only home of torch. Nothing here is imported unless a learned search is asked for."""
