"""What the models look at: one sample, many, over training, changed by hand."""
