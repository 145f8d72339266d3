"""What a model of rows (N, F) makes of its columns as a whole: over many rows, where `explain` looks at single ones."""
