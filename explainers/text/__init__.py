"""Methods for token ids (N, T): every file is one, by its name."""
