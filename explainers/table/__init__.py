"""Methods for rows (N, F), of a table or of observations: every file is one, by its name."""
