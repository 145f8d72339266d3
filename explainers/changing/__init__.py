"""Changes of one input, and what the model says of it then."""
