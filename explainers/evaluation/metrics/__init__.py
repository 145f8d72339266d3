"""The metrics: every file is one, by its name."""
