"""Two to ten runs beside each other."""
