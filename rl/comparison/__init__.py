"""Searches and policies against each other, at the same budget, on the same prices."""
