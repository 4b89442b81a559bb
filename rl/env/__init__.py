"""The search for a faster model as episodes: the environment, what an agent sees, what it is paid."""
