"""The e-graph: every equivalent form of a model at once."""
