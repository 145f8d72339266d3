"""Lessons whose loop is another than the supervised one: each is a page long."""
