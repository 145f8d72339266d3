"""Spots that a classifier judges pictures by: found by grouping maps, confirmed by changing pictures."""
