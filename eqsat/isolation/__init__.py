"""Processes of their own: they end with their parent, are seen whole, and leave no temporary files."""
