"""The parts of the training loop, one idea per file."""
