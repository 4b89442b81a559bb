"""The door to egglog: its commands as typed values, and the schema that every e-graph here has."""
