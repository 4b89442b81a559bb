"""One run, from a model to a faster one: load, search, price, extract, build, verify, measure, write."""
