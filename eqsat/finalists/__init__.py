"""From extracted selections to the one model that is returned: built, verified, measured end to end."""
