"""Methods for pictures (N, C, H, W): every file is one, by its name."""
