"""Searches: which candidates are applied, in what order, until when."""
