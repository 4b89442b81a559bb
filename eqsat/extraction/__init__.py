"""Extraction: the cheapest graph in an e-graph, where a shared node is paid once (DAG cost)."""
