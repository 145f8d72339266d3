"""The memory of each step: what is held, by which part, what filled a peak, and a warning before it runs out."""
