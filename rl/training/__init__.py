"""Training: episodes, proximal policy optimisation, settings, curves, and what an interrupted one goes on from."""
