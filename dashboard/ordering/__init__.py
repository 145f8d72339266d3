"""Jobs that a visitor orders: trainings, sweeps, explanations, reports; each a command of its own process."""
