"""Which runs are looked at: the list, the question asked of it, one or several, their order."""
