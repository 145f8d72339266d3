"""Searching for a better recipe: what is varied, how one set of values is judged, and the loop over many."""
