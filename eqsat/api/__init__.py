"""The Python interface, and the process of its own in which a run works."""
