"""Say how far to trust an explanation: metrics of it, each beside those of maps that know nothing of the model."""
