"""The agent: its network, its policy, and the folder that both are kept in."""
